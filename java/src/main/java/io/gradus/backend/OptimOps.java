package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Optimizer updates over flat parameters of n elements, in place. The learning rate and the number
 * of the step live on the device, in double precision, so that a captured step replays exactly;
 * what follows from them is computed in double precision and rounded once to the parameters' type.
 * All states have the parameters' type (FLOAT32 or FLOAT64).
 *
 * <p>{@code foundInf} (INT32 [1], or null) is the flag of a step that is to be left out: where it
 * is not 0 on the device, an update changes nothing at all.
 */
public interface OptimOps extends Primitives {
  /**
   * Stochastic gradient descent; d is the direction that the momentum buffer b, if any, gives.
   *
   * <pre>{@code
   * g = grad + weightDecay param
   * b = g                                    at step 1
   * b = momentum b + (1 - dampening) g       later
   * d = nesterov ? g + momentum b : b        (g without momentum)
   * param = param - lr d
   * }</pre>
   *
   * @param grad [n], read
   * @param param [n], updated
   * @param velocity [n], updated; null without momentum
   * @param lr FLOAT64 [1]
   * @param step INT64 [1], the number of this step, from 1
   * @param n elements
   * @param scalars what does not change
   * @param foundInf INT32 [1], leaves the step out where it is not 0; null for never
   */
  default void sgd(
      Buffer grad,
      Buffer param,
      @Nullable Buffer velocity,
      Buffer lr,
      Buffer step,
      long n,
      SgdScalars scalars,
      @Nullable Buffer foundInf) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer skip = skip(scratch, foundInf);
      Rows m = new Rows(this, scratch, param.dtype(), 1, n);
      Rows one = new Rows(this, scratch, DType.FLOAT64, 1, 1);
      Buffer g = withDecay(m, grad, param, scalars.weightDecay());
      Buffer direction = g;
      if (velocity != null) {
        // 1 at the first step and 1 - dampening later: the empty buffer takes the whole gradient.
        Buffer later = scratch.take(DType.BOOL, 1);
        long[] unit = {1};
        Buffer first = scratch.scalar(DType.INT64, 1);
        this.compare(CompareOp.GT, step, unit, first, unit, later, unit);
        Buffer isLater = scratch.as(DType.FLOAT64, later);
        Buffer share =
            one.apply(BinaryOp.ADD, one.apply(BinaryOp.MUL, isLater, -scalars.dampening()), 1);
        Buffer fresh = m.apply(BinaryOp.MUL, g, scratch.as(param.dtype(), share), m.scalar);
        Buffer kept = m.apply(BinaryOp.MUL, velocity, scalars.momentum());
        m.storeUnless(skip, m.apply(BinaryOp.ADD, kept, fresh, m.full), velocity);
        direction =
            scalars.nesterov()
                ? m.apply(
                    BinaryOp.ADD, g, m.apply(BinaryOp.MUL, velocity, scalars.momentum()), m.full)
                : velocity;
      }
      descend(m, scratch, skip, param, direction, lr);
    }
  }

  /**
   * Adam, with weight decay as a part of the gradient (L2) or decoupled from it (AdamW).
   *
   * <pre>{@code
   * param = param (1 - lr weightDecay)                 if decoupled
   * g     = grad, or grad + weightDecay param          if not decoupled
   * mean     = mean + (1 - beta1) (g - mean)
   * variance = beta2 variance + (1 - beta2) g^2
   * param = param - lr / (1 - beta1^step) mean / (sqrt(variance) / sqrt(1 - beta2^step) + eps)
   * }</pre>
   *
   * @param grad [n], read
   * @param param [n], updated
   * @param mean [n], first moment, updated
   * @param variance [n], second moment, updated
   * @param lr FLOAT64 [1]
   * @param step INT64 [1], the number of this step, from 1
   * @param n elements
   * @param scalars what does not change
   * @param foundInf INT32 [1], leaves the step out where it is not 0; null for never
   */
  default void adam(
      Buffer grad,
      Buffer param,
      Buffer mean,
      Buffer variance,
      Buffer lr,
      Buffer step,
      long n,
      AdamScalars scalars,
      @Nullable Buffer foundInf) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer skip = skip(scratch, foundInf);
      DType dtype = param.dtype();
      Rows m = new Rows(this, scratch, dtype, 1, n);
      Rows one = new Rows(this, scratch, DType.FLOAT64, 1, 1);
      Buffer g = grad;
      if (scalars.decoupled()) {
        shrink(this, scratch, skip, param, lr, scalars.weightDecay());
      } else {
        g = withDecay(m, grad, param, scalars.weightDecay());
      }
      moveToward(m, skip, mean, g, 1 - scalars.beta1());
      decayToward(m, skip, variance, m.apply(BinaryOp.MUL, g, g, m.full), scalars.beta2());
      Buffer count = scratch.as(DType.FLOAT64, step);
      Buffer rate =
          one.apply(BinaryOp.DIV, lr, bias(one, scratch, scalars.beta1(), count), one.full);
      Buffer spread = one.apply(UnaryOp.SQRT, bias(one, scratch, scalars.beta2(), count));
      Buffer root = m.apply(UnaryOp.SQRT, variance);
      Buffer scaled = m.apply(BinaryOp.DIV, root, scratch.as(dtype, spread), m.scalar);
      Buffer direction =
          m.apply(BinaryOp.DIV, mean, m.apply(BinaryOp.ADD, scaled, scalars.eps()), m.full);
      descend(m, scratch, skip, param, direction, rate);
    }
  }

  /**
   * RMSprop, optionally centered and with momentum.
   *
   * <pre>{@code
   * g      = grad + weightDecay param
   * square = alpha square + (1 - alpha) g^2
   * mean   = mean + (1 - alpha) (g - mean)                     if centered
   * d      = g / (sqrt(square - mean^2) + eps)                 (mean = 0 if not centered)
   * b      = momentum b + d                                    with momentum, then d = b
   * param  = param - lr d
   * }</pre>
   *
   * @param grad [n], read
   * @param param [n], updated
   * @param square [n], mean of squares, updated
   * @param mean [n], mean of gradients, updated; null if not centered
   * @param velocity [n], updated; null without momentum
   * @param lr FLOAT64 [1]
   * @param n elements
   * @param scalars what does not change
   * @param foundInf INT32 [1], leaves the step out where it is not 0; null for never
   */
  default void rmsProp(
      Buffer grad,
      Buffer param,
      Buffer square,
      @Nullable Buffer mean,
      @Nullable Buffer velocity,
      Buffer lr,
      long n,
      RmsPropScalars scalars,
      @Nullable Buffer foundInf) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer skip = skip(scratch, foundInf);
      Rows m = new Rows(this, scratch, param.dtype(), 1, n);
      Buffer g = withDecay(m, grad, param, scalars.weightDecay());
      decayToward(m, skip, square, m.apply(BinaryOp.MUL, g, g, m.full), scalars.alpha());
      Buffer spread = square;
      if (mean != null) {
        moveToward(m, skip, mean, g, 1 - scalars.alpha());
        spread = m.apply(BinaryOp.SUB, square, m.apply(BinaryOp.MUL, mean, mean, m.full), m.full);
      }
      Buffer root = m.apply(BinaryOp.ADD, m.apply(UnaryOp.SQRT, spread), scalars.eps());
      Buffer direction = m.apply(BinaryOp.DIV, g, root, m.full);
      if (velocity != null) {
        Buffer kept = m.apply(BinaryOp.MUL, velocity, scalars.momentum());
        m.storeUnless(skip, m.apply(BinaryOp.ADD, kept, direction, m.full), velocity);
        direction = velocity;
      }
      descend(m, scratch, skip, param, direction, lr);
    }
  }

  /**
   * Adagrad.
   *
   * <pre>{@code
   * g     = grad + weightDecay param
   * sum   = sum + g^2
   * param = param - lr / (1 + (step - 1) lrDecay) g / (sqrt(sum) + eps)
   * }</pre>
   *
   * @param grad [n], read
   * @param param [n], updated
   * @param sum [n], sum of squares, updated
   * @param lr FLOAT64 [1]
   * @param step INT64 [1], the number of this step, from 1
   * @param n elements
   * @param lrDecay decay of the learning rate
   * @param eps added to the root
   * @param weightDecay factor of the parameters in the gradient (L2)
   * @param foundInf INT32 [1], leaves the step out where it is not 0; null for never
   */
  default void adagrad(
      Buffer grad,
      Buffer param,
      Buffer sum,
      Buffer lr,
      Buffer step,
      long n,
      double lrDecay,
      double eps,
      double weightDecay,
      @Nullable Buffer foundInf) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer skip = skip(scratch, foundInf);
      Rows m = new Rows(this, scratch, param.dtype(), 1, n);
      Rows one = new Rows(this, scratch, DType.FLOAT64, 1, 1);
      Buffer g = withDecay(m, grad, param, weightDecay);
      m.storeUnless(
          skip, m.apply(BinaryOp.ADD, sum, m.apply(BinaryOp.MUL, g, g, m.full), m.full), sum);
      Buffer before = one.apply(BinaryOp.SUB, scratch.as(DType.FLOAT64, step), 1);
      Buffer slower = one.apply(BinaryOp.ADD, one.apply(BinaryOp.MUL, before, lrDecay), 1);
      Buffer rate = one.apply(BinaryOp.DIV, lr, slower, one.full);
      Buffer root = m.apply(BinaryOp.ADD, m.apply(UnaryOp.SQRT, sum), eps);
      descend(m, scratch, skip, param, m.apply(BinaryOp.DIV, g, root, m.full), rate);
    }
  }

  /**
   * Lion: every weight moves by the learning rate, in the direction of an average of the gradient.
   *
   * <pre>{@code
   * update = sign(beta1 mean + (1 - beta1) grad)
   * param  = param (1 - lr weightDecay) - lr update
   * mean   = beta2 mean + (1 - beta2) grad
   * }</pre>
   *
   * @param grad [n], read
   * @param param [n], updated
   * @param mean [n], average of gradients, updated
   * @param lr FLOAT64 [1]
   * @param n elements
   * @param beta1 weight of the average in the update
   * @param beta2 decay of the average
   * @param weightDecay weight decay, decoupled from the gradient
   * @param foundInf INT32 [1], leaves the step out where it is not 0; null for never
   */
  default void lion(
      Buffer grad,
      Buffer param,
      Buffer mean,
      Buffer lr,
      long n,
      double beta1,
      double beta2,
      double weightDecay,
      @Nullable Buffer foundInf) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer skip = skip(scratch, foundInf);
      Rows m = new Rows(this, scratch, param.dtype(), 1, n);
      Buffer fresh = m.apply(BinaryOp.MUL, grad, 1 - beta1);
      Buffer mixed = m.apply(BinaryOp.ADD, m.apply(BinaryOp.MUL, mean, beta1), fresh, m.full);
      decayToward(m, skip, mean, grad, beta2);
      shrink(this, scratch, skip, param, lr, weightDecay);
      descend(m, scratch, skip, param, m.apply(UnaryOp.SIGN, mixed), lr);
    }
  }

  /**
   * The sum of squares, formed in double precision: it neither overflows nor loses small elements.
   *
   * @param x [n]
   * @param out FLOAT64 [1]
   * @param n elements
   */
  default void sumOfSquares(Buffer x, Buffer out, long n) {
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, DType.FLOAT64, 1, n);
      Buffer wide = scratch.as(DType.FLOAT64, x);
      reduce(ReduceOp.SUM, m.apply(BinaryOp.MUL, wide, wide, m.full), out, 1, n, 1);
    }
  }

  /**
   * Takes the loss scale out of gradients and notes whether one of them is not finite.
   *
   * <pre>{@code
   * grad = grad gradScale
   * foundInf = 1 where an element of grad is infinite or NaN, else as it is
   * }</pre>
   *
   * @param grad [n], floating, updated
   * @param foundInf INT32 [1], updated
   * @param gradScale FLOAT32 [1], the inverse of the loss scale
   * @param n elements
   */
  default void unscaleCheck(Buffer grad, Buffer foundInf, Buffer gradScale, long n) {
    if (n == 0) {
      return;
    }
    try (Scratch scratch = new Scratch(this)) {
      DType dtype = Scratch.accumulator(grad.dtype());
      Rows m = new Rows(this, scratch, dtype, 1, n);
      Buffer wide = scratch.as(dtype, grad);
      m.store(m.apply(BinaryOp.MUL, wide, scratch.as(dtype, gradScale), m.scalar), grad);
      // What was stored counts: a 16-bit gradient may overflow as it is rounded. 0 x is 0 or NaN.
      Buffer zeros = m.apply(BinaryOp.MUL, scratch.as(dtype, grad), 0);
      Buffer worst = scratch.take(dtype, 1);
      reduce(ReduceOp.MAX, zeros, worst, 1, n, 1);
      long[] unit = {1};
      Buffer bad = scratch.take(DType.BOOL, 1);
      this.compare(CompareOp.NE, worst, unit, worst, unit, bad, unit);
      Rows one = new Rows(this, scratch, DType.INT32, 1, 1);
      one.store(
          one.apply(BinaryOp.MAX, foundInf, scratch.as(DType.INT32, bad), one.full), foundInf);
    }
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
   * <p>Source: Micikevicius et al., "Mixed precision training", ICLR 2018, in the form of PyTorch's
   * GradScaler.
   *
   * @param scale FLOAT32 [1], updated
   * @param inverse FLOAT32 [1], written
   * @param growthTracker INT32 [1], finite steps since the scale last changed, updated
   * @param foundInf INT32 [1], updated
   * @param growth factor of the scale after interval finite steps
   * @param backoff factor of the scale after a step that was not finite
   * @param interval steps
   */
  default void lossScaleUpdate(
      Buffer scale,
      Buffer inverse,
      Buffer growthTracker,
      Buffer foundInf,
      double growth,
      double backoff,
      long interval) {
    try (Scratch scratch = new Scratch(this)) {
      long[] unit = {1};
      Rows m = new Rows(this, scratch, DType.FLOAT32, 1, 1);
      Rows count = new Rows(this, scratch, DType.INT32, 1, 1);
      Buffer none = scratch.scalar(DType.INT32, 0);
      Buffer overflow = scratch.take(DType.BOOL, 1);
      this.compare(CompareOp.NE, foundInf, unit, none, unit, overflow, unit);
      Buffer steps = count.apply(BinaryOp.ADD, growthTracker, 1);
      Buffer due = scratch.take(DType.BOOL, 1);
      Buffer enough = scratch.scalar(DType.INT32, (double) interval);
      this.compare(CompareOp.GE, steps, unit, enough, unit, due, unit);
      Buffer larger = m.apply(BinaryOp.MUL, scale, growth);
      Buffer finite = scratch.take(DType.BOOL, 1);
      Buffer limit = scratch.scalar(DType.FLOAT32, Float.MAX_VALUE);
      this.compare(CompareOp.LE, larger, unit, limit, unit, finite, unit);
      Buffer grown = scratch.take(DType.FLOAT32, 1);
      where(finite, unit, larger, unit, scale, unit, grown, unit);
      Buffer kept = scratch.take(DType.FLOAT32, 1);
      where(due, unit, grown, unit, scale, unit, kept, unit);
      Buffer next = scratch.take(DType.FLOAT32, 1);
      Buffer smaller = m.apply(BinaryOp.MUL, scale, backoff);
      where(overflow, unit, smaller, unit, kept, unit, next, unit);
      Buffer counted = scratch.take(DType.INT32, 1);
      where(due, unit, none, unit, steps, unit, counted, unit);
      Buffer tracked = scratch.take(DType.INT32, 1);
      where(overflow, unit, none, unit, counted, unit, tracked, unit);
      m.store(next, scale);
      m.store(m.apply(UnaryOp.RECIPROCAL, next), inverse);
      count.store(tracked, growthTracker);
      fill(foundInf, 0);
    }
  }

  /**
   * Counts a step.
   *
   * <pre>{@code
   * steps = steps + 1
   * }</pre>
   *
   * @param steps INT64 [n], updated
   * @param n elements
   * @param foundInf INT32 [1], leaves the step out where it is not 0; null for never
   */
  default void advanceStep(Buffer steps, long n, @Nullable Buffer foundInf) {
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, DType.INT64, 1, n);
      m.storeUnless(skip(scratch, foundInf), m.apply(BinaryOp.ADD, steps, 1), steps);
    }
  }

  /** Whether a step is to be left out, BOOL [1]; null where there is no flag. */
  private static @Nullable Buffer skip(Scratch scratch, @Nullable Buffer foundInf) {
    return foundInf == null ? null : scratch.as(DType.BOOL, foundInf);
  }

  /** g = grad + weightDecay param. */
  private static Buffer withDecay(Rows m, Buffer grad, Buffer param, double weightDecay) {
    return weightDecay == 0
        ? grad
        : m.apply(BinaryOp.ADD, grad, m.apply(BinaryOp.MUL, param, weightDecay), m.full);
  }

  /** param = param (1 - lr weightDecay). */
  private static void shrink(
      Primitives primitives,
      Scratch scratch,
      @Nullable Buffer skip,
      Buffer param,
      Buffer lr,
      double weightDecay) {
    if (weightDecay == 0) {
      return;
    }
    Rows m = new Rows(primitives, scratch, param.dtype(), 1, param.length());
    Rows one = new Rows(primitives, scratch, DType.FLOAT64, 1, 1);
    Buffer kept = one.apply(BinaryOp.ADD, one.apply(BinaryOp.MUL, lr, -weightDecay), 1);
    m.storeUnless(
        skip, m.apply(BinaryOp.MUL, param, scratch.as(param.dtype(), kept), m.scalar), param);
  }

  /** average = average + share (x - average). */
  private static void moveToward(
      Rows m, @Nullable Buffer skip, Buffer average, Buffer x, double share) {
    Buffer distance = m.apply(BinaryOp.SUB, x, average, m.full);
    Buffer way = m.apply(BinaryOp.MUL, distance, share);
    m.storeUnless(skip, m.apply(BinaryOp.ADD, average, way, m.full), average);
  }

  /** average = decay average + (1 - decay) x. */
  private static void decayToward(
      Rows m, @Nullable Buffer skip, Buffer average, Buffer x, double decay) {
    Buffer kept = m.apply(BinaryOp.MUL, average, decay);
    Buffer fresh = m.apply(BinaryOp.MUL, x, 1 - decay);
    m.storeUnless(skip, m.apply(BinaryOp.ADD, kept, fresh, m.full), average);
  }

  /** 1 - beta^count. */
  private static Buffer bias(Rows one, Scratch scratch, double beta, Buffer count) {
    Buffer power = one.apply(BinaryOp.POW, scratch.scalar(DType.FLOAT64, beta), count, one.full);
    return one.apply(BinaryOp.ADD, one.apply(UnaryOp.NEG, power), 1);
  }

  /** param = param - rate direction. */
  private static void descend(
      Rows m, Scratch scratch, @Nullable Buffer skip, Buffer param, Buffer direction, Buffer rate) {
    Buffer factor = scratch.as(param.dtype(), rate);
    Buffer way = m.apply(BinaryOp.MUL, direction, factor, m.scalar);
    m.storeUnless(skip, m.apply(BinaryOp.SUB, param, way, m.full), param);
  }
}
