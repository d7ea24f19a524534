package io.gradus.tensor;

import io.gradus.backend.AdamScalars;
import io.gradus.backend.Buffer;
import io.gradus.backend.IndexShape;
import io.gradus.backend.Memory;
import io.gradus.backend.RmsPropScalars;
import io.gradus.backend.SgdScalars;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/**
 * Optimizer updates of parameters, in place and outside the graph. Parameters, gradients and states
 * are contiguous, of one shape and one type (FLOAT32 or FLOAT64); {@code lr} is FLOAT64 and {@code
 * step} INT64, of one element each, on the same device: they are read there, so that a captured
 * step replays exactly. The formulas are PyTorch's.
 *
 * <p>{@code foundInf} (INT32 of one element, on the device as well, or null) is what {@link
 * #unscaleCheck} finds: where it is not 0, an update changes nothing at all.
 */
public final class Updates {
  private Updates() {}

  /**
   * Stochastic gradient descent.
   *
   * <pre>{@code
   * g = grad + weightDecay param
   * b = g at step 1, else momentum b + (1 - dampening) g
   * param = param - lr (nesterov ? g + momentum b : b)
   * }</pre>
   *
   * Shapes: param, grad and velocity alike.
   *
   * <p>Source: Sutskever et al., ICML 2013, in the form of PyTorch's SGD.
   *
   * @param param updated
   * @param grad gradient
   * @param velocity momentum buffer b, updated; null without momentum, where b = g
   * @param lr learning rate
   * @param step number of this step, from 1
   * @param scalars what does not change
   * @param foundInf leaves the step out where it is not 0; null for never
   * @throws io.gradus.core.ShapeException when the shapes differ
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void sgd(
      Tensor param,
      Tensor grad,
      @Nullable Tensor velocity,
      Tensor lr,
      Tensor step,
      SgdScalars scalars,
      @Nullable Tensor foundInf) {
    check("sgd", param, lr, step, grad, velocity);
    param
        .backend()
        .sgd(
            grad.buffer(),
            param.buffer(),
            velocity == null ? null : velocity.buffer(),
            lr.buffer(),
            step.buffer(),
            param.numel(),
            scalars,
            flag(param, foundInf, "sgd"));
    changed(param, velocity);
  }

  /**
   * Adam, with weight decay as a part of the gradient (L2) or decoupled from it (AdamW).
   *
   * <pre>{@code
   * g = grad + weightDecay param;  decoupled: g = grad, param = param (1 - lr weightDecay)
   * mean     = beta1 mean + (1 - beta1) g
   * variance = beta2 variance + (1 - beta2) g^2
   * param = param - lr / (1 - beta1^step) mean / (sqrt(variance / (1 - beta2^step)) + eps)
   * }</pre>
   *
   * Shapes: param, grad, mean and variance alike.
   *
   * <p>Source: Kingma, Ba, ICLR 2015; decoupled: Loshchilov, Hutter, ICLR 2019.
   *
   * @param param updated
   * @param grad gradient
   * @param mean first moment, updated
   * @param variance second moment, updated
   * @param lr learning rate
   * @param step number of this step, from 1
   * @param scalars what does not change
   * @param foundInf leaves the step out where it is not 0; null for never
   * @throws io.gradus.core.ShapeException when the shapes differ
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void adam(
      Tensor param,
      Tensor grad,
      Tensor mean,
      Tensor variance,
      Tensor lr,
      Tensor step,
      AdamScalars scalars,
      @Nullable Tensor foundInf) {
    check("adam", param, lr, step, grad, mean, variance);
    param
        .backend()
        .adam(
            grad.buffer(),
            param.buffer(),
            mean.buffer(),
            variance.buffer(),
            lr.buffer(),
            step.buffer(),
            param.numel(),
            scalars,
            flag(param, foundInf, "adam"));
    changed(param, mean, variance);
  }

  /**
   * RMSprop.
   *
   * <pre>{@code
   * g = grad + weightDecay param
   * square = alpha square + (1 - alpha) g^2;  mean = alpha mean + (1 - alpha) g
   * d = g / (sqrt(square - mean^2) + eps)
   * b = momentum b + d
   * param = param - lr b
   * }</pre>
   *
   * Shapes: param, grad and states alike.
   *
   * <p>Source: Tieleman, Hinton, COURSERA lecture 6.5, 2012; centered: Graves, arXiv:1308.0850.
   *
   * @param param updated
   * @param grad gradient
   * @param square mean of squares, updated
   * @param mean mean of gradients, updated; null if not centered, where it counts as 0
   * @param velocity momentum buffer b, updated; null without momentum, where b = d
   * @param lr learning rate
   * @param scalars what does not change
   * @param foundInf leaves the step out where it is not 0; null for never
   * @throws io.gradus.core.ShapeException when the shapes differ
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void rmsProp(
      Tensor param,
      Tensor grad,
      Tensor square,
      @Nullable Tensor mean,
      @Nullable Tensor velocity,
      Tensor lr,
      RmsPropScalars scalars,
      @Nullable Tensor foundInf) {
    check("rmsProp", param, lr, null, grad, square, mean, velocity);
    param
        .backend()
        .rmsProp(
            grad.buffer(),
            param.buffer(),
            square.buffer(),
            mean == null ? null : mean.buffer(),
            velocity == null ? null : velocity.buffer(),
            lr.buffer(),
            param.numel(),
            scalars,
            flag(param, foundInf, "rmsProp"));
    changed(param, square, mean, velocity);
  }

  /**
   * Adagrad.
   *
   * <pre>{@code
   * g = grad + weightDecay param
   * sum = sum + g^2
   * param = param - lr / (1 + (step - 1) lrDecay) g / (sqrt(sum) + eps)
   * }</pre>
   *
   * Shapes: param, grad and sum alike.
   *
   * <p>Source: Duchi, Hazan, Singer, JMLR 12, 2011.
   *
   * @param param updated
   * @param grad gradient
   * @param sum sum of squares, updated
   * @param lr learning rate
   * @param step number of this step, from 1
   * @param lrDecay decay of the learning rate
   * @param eps added to the root
   * @param weightDecay factor of the parameters in the gradient (L2)
   * @param foundInf leaves the step out where it is not 0; null for never
   * @throws io.gradus.core.ShapeException when the shapes differ
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void adagrad(
      Tensor param,
      Tensor grad,
      Tensor sum,
      Tensor lr,
      Tensor step,
      double lrDecay,
      double eps,
      double weightDecay,
      @Nullable Tensor foundInf) {
    check("adagrad", param, lr, step, grad, sum);
    param
        .backend()
        .adagrad(
            grad.buffer(),
            param.buffer(),
            sum.buffer(),
            lr.buffer(),
            step.buffer(),
            param.numel(),
            lrDecay,
            eps,
            weightDecay,
            flag(param, foundInf, "adagrad"));
    changed(param, sum);
  }

  /**
   * Lion.
   *
   * <pre>{@code
   * update = sign(beta1 mean + (1 - beta1) grad)
   * param = param (1 - lr weightDecay) - lr update
   * mean = beta2 mean + (1 - beta2) grad
   * }</pre>
   *
   * Shapes: param, grad and mean alike.
   *
   * <p>Source: Chen et al., NeurIPS 2023.
   *
   * @param param updated
   * @param grad gradient
   * @param mean average of gradients, updated
   * @param lr learning rate
   * @param beta1 weight of the average in the update
   * @param beta2 decay of the average
   * @param weightDecay weight decay, decoupled from the gradient
   * @param foundInf leaves the step out where it is not 0; null for never
   * @throws io.gradus.core.ShapeException when the shapes differ
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void lion(
      Tensor param,
      Tensor grad,
      Tensor mean,
      Tensor lr,
      double beta1,
      double beta2,
      double weightDecay,
      @Nullable Tensor foundInf) {
    check("lion", param, lr, null, grad, mean);
    param
        .backend()
        .lion(
            grad.buffer(),
            param.buffer(),
            mean.buffer(),
            lr.buffer(),
            param.numel(),
            beta1,
            beta2,
            weightDecay,
            flag(param, foundInf, "lion"));
    changed(param, mean);
  }

  /**
   * Counts a step of parameters.
   *
   * <pre>{@code
   * steps = steps + 1
   * }</pre>
   *
   * Shapes: steps any.
   *
   * @param steps INT64 and contiguous, updated
   * @param foundInf leaves the step out where it is not 0; null for never
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void advanceStep(Tensor steps, @Nullable Tensor foundInf) {
    String op = "advanceStep";
    Checks.dtype(
        steps.dtype() == DType.INT64, "[%s] steps must be INT64, not %s", op, steps.dtype());
    Checks.argument(steps.isContiguous(), "[%s] steps %s is not contiguous", op, steps.shape());
    steps.backend().advanceStep(steps.buffer(), steps.numel(), flag(steps, foundInf, op));
    changed(steps);
  }

  /**
   * Takes the loss scale out of a gradient and notes whether an element is not finite; see {@link
   * #lossScaleUpdate}.
   *
   * <pre>{@code
   * grad = grad gradScale; foundInf = 1 where an element is infinite or NaN
   * }</pre>
   *
   * Shapes: grad any; the others one element.
   *
   * @param grad floating and contiguous, updated
   * @param gradScale FLOAT32, the inverse of the loss scale
   * @param foundInf INT32, set to 1 or left as it is
   * @throws io.gradus.core.ShapeException when the shapes are not as above
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void unscaleCheck(Tensor grad, Tensor gradScale, Tensor foundInf) {
    String op = "unscaleCheck";
    Checks.dtype(
        grad.dtype().isFloating(), "[%s] grad is %s, not of a floating type", op, grad.dtype());
    Checks.argument(grad.isContiguous(), "[%s] grad %s is not contiguous", op, grad.shape());
    checkScalar(op, "gradScale", grad, gradScale, DType.FLOAT32);
    checkScalar(op, "foundInf", grad, foundInf, DType.INT32);
    grad.backend().unscaleCheck(grad.buffer(), foundInf.buffer(), gradScale.buffer(), grad.numel());
    changed(grad, foundInf);
  }

  /**
   * The dynamic loss scale after a step.
   *
   * <pre>{@code
   * foundInf:  scale = scale backoff, growthTracker = 0
   * else:      growthTracker = growthTracker + 1, and when it reaches interval
   *            scale = scale growth (if that is finite), growthTracker = 0
   * then       inverse = 1 / scale, foundInf = 0
   * }</pre>
   *
   * Shapes: one element each.
   *
   * <p>Source: Micikevicius et al., ICLR 2018, in the form of PyTorch's GradScaler.
   *
   * @param scale FLOAT32, updated
   * @param inverse FLOAT32, updated
   * @param growthTracker INT32, finite steps since the scale last changed, updated
   * @param foundInf INT32, updated
   * @param growth factor after interval finite steps
   * @param backoff factor after a step that was not finite
   * @param interval steps
   * @throws io.gradus.core.ShapeException when the shapes are not as above
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void lossScaleUpdate(
      Tensor scale,
      Tensor inverse,
      Tensor growthTracker,
      Tensor foundInf,
      double growth,
      double backoff,
      long interval) {
    String op = "lossScaleUpdate";
    checkScalar(op, "scale", scale, scale, DType.FLOAT32);
    checkScalar(op, "inverse", scale, inverse, DType.FLOAT32);
    checkScalar(op, "growthTracker", scale, growthTracker, DType.INT32);
    checkScalar(op, "foundInf", scale, foundInf, DType.INT32);
    scale
        .backend()
        .lossScaleUpdate(
            scale.buffer(),
            inverse.buffer(),
            growthTracker.buffer(),
            foundInf.buffer(),
            growth,
            backoff,
            interval);
    changed(scale, inverse, growthTracker, foundInf);
  }

  /**
   * The sum of squares of all elements as a FLOAT64 scalar, formed in double precision; no
   * gradient. Shapes: x any, result [].
   *
   * @throws io.gradus.core.DTypeException when x is not floating
   */
  public static Tensor sumOfSquares(Tensor x) {
    Checks.dtype(x.dtype().isFloating(), "[sumOfSquares] needs a floating type, not %s", x.dtype());
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor out = Tensor.empty(x.backend(), DType.FLOAT64, Shape.SCALAR);
      x.backend().sumOfSquares(x.detach().contiguous().buffer(), out.buffer(), x.numel());
      return s.keep(out);
    }
  }

  /** Whether two tensors are the same elements of the same memory. */
  public static boolean sameMemory(Tensor a, Tensor b) {
    Memory memory = b.memory();
    return a.holds(memory)
        && a.offset() == b.offset()
        && a.numel() == b.numel()
        && a.isContiguous()
        && b.isContiguous();
  }

  /**
   * {@code out = table[index]}, for what changes from step to step by a plan, such as a learning
   * rate: the device looks it up by itself. The index is not checked.
   *
   * <p>Shapes: table: [n], index: one element, out: one element.
   *
   * @param table numbers of any type
   * @param index INT64, within the table
   * @param out of the table's type, written
   * @throws io.gradus.core.DTypeException when the types are not as above
   */
  public static void lookUp(Tensor table, Tensor index, Tensor out) {
    checkScalar("lookUp", "index", table, index, DType.INT64);
    checkScalar("lookUp", "out", table, out, table.dtype());
    table
        .backend()
        .gather(
            IndexShape.rows(1, table.numel(), 1, 1), table.buffer(), index.buffer(), out.buffer());
    changed(out);
  }

  private static void check(
      String op, Tensor param, Tensor lr, @Nullable Tensor step, @Nullable Tensor... others) {
    Checks.dtype(
        param.dtype() == DType.FLOAT32 || param.dtype() == DType.FLOAT64,
        "[%s] updates FLOAT32 or FLOAT64, not %s: keep a FLOAT32 copy of the parameters",
        op,
        param.dtype());
    Checks.argument(param.isContiguous(), "[%s] param %s is not contiguous", op, param.shape());
    for (Tensor other : others) {
      if (other == null) {
        continue;
      }
      param.sameDevice(op, other);
      Checks.shape(
          other.shape().equals(param.shape()),
          "[%s] a gradient or state has shape %s but the parameter %s",
          op,
          other.shape(),
          param.shape());
      Checks.dtype(
          other.dtype() == param.dtype(),
          "[%s] a gradient or state is %s but the parameter %s",
          op,
          other.dtype(),
          param.dtype());
      Checks.argument(
          other.isContiguous(), "[%s] a gradient or state %s is not contiguous", op, other.shape());
    }
    checkScalar(op, "lr", param, lr, DType.FLOAT64);
    if (step != null) {
      checkScalar(op, "step", param, step, DType.INT64);
    }
  }

  private static @Nullable Buffer flag(Tensor param, @Nullable Tensor foundInf, String op) {
    if (foundInf == null) {
      return null;
    }
    checkScalar(op, "foundInf", param, foundInf, DType.INT32);
    return foundInf.buffer();
  }

  private static void checkScalar(
      String op, String name, Tensor param, Tensor scalar, DType dtype) {
    param.sameDevice(op, scalar);
    Checks.dtype(
        scalar.dtype() == dtype, "[%s] %s must be %s, not %s", op, name, dtype, scalar.dtype());
    Checks.shape(
        scalar.numel() == 1, "[%s] %s must have one element, not %s", op, name, scalar.shape());
  }

  private static void changed(@Nullable Tensor... tensors) {
    for (Tensor tensor : tensors) {
      if (tensor != null) {
        tensor.memory().bumpVersion();
      }
    }
  }
}
