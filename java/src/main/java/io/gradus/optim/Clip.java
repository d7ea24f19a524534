package io.gradus.optim;

import io.gradus.backend.Profiler;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.ArrayList;
import java.util.List;

/** Limits gradients in place, between backward and the optimizer's step. */
public final class Clip {
  /** Keeps the factor finite where all gradients are 0; PyTorch's constant. */
  private static final double TINY = 1e-6;

  private Clip() {}

  /**
   * Limits every element of every gradient: g = min(max(g, -limit), limit). NaN stays.
   *
   * @param params parameters; those without a gradient are skipped
   * @param limit largest absolute value
   * @throws ArgumentException when the limit is not positive
   */
  public static void byValue(List<Tensor> params, double limit) {
    Checks.argument(limit > 0, "[clip] limit %s must be positive", limit);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      for (Tensor grad : grads(params)) {
        Tensor high = Tensor.full(grad.device(), grad.dtype(), Shape.SCALAR, limit);
        Tensor low = Tensor.full(grad.device(), grad.dtype(), Shape.SCALAR, -limit);
        grad.copyFrom(grad.minimum(high).maximum(low));
      }
    }
  }

  /**
   * As {@link #byNorm(List, double, boolean)} without the check for infinity and NaN: nothing waits
   * for the device.
   */
  public static Tensor byNorm(List<Tensor> params, double maxNorm) {
    return byNorm(params, maxNorm, false);
  }

  /**
   * Scales all gradients by one factor so that their common norm does not exceed a limit.
   *
   * <pre>{@code
   * norm = sqrt(sum of g^2 over all gradients)
   * g = g min(1, maxNorm / (norm + 1e-6))
   * }</pre>
   *
   * <p>Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks",
   * ICML 2013.
   *
   * @param params parameters on one device; those without a gradient are skipped
   * @param maxNorm largest norm
   * @param failOnNonFinite whether a norm that is infinite or NaN is an error; the gradients are
   *     then left as they are
   * @return the norm before scaling, FLOAT64 [], summed in double precision and fixed order
   * @throws ArgumentException when the limit is not positive, or the norm is not finite
   */
  public static Tensor byNorm(List<Tensor> params, double maxNorm, boolean failOnNonFinite) {
    Checks.argument(maxNorm > 0, "[clip] maxNorm %s must be positive", maxNorm);
    try (Profiler.Span phase = Profiler.phase(Profiler.Phase.OPTIMIZER);
        Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      List<Tensor> grads = grads(params);
      Tensor norm = norm(grads);
      if (failOnNonFinite) {
        double value = norm.item();
        Checks.argument(
            Double.isFinite(value),
            "[clip] the gradients' norm is %s: lower the learning rate, or find the operation with"
                + " AnomalyMode",
            value);
      }
      Tensor one = Tensor.full(norm.device(), DType.FLOAT64, Shape.SCALAR, 1);
      Tensor factor = norm.add(TINY).reciprocal().mul(maxNorm).minimum(one);
      for (Tensor grad : grads) {
        grad.mulInPlace(factor.to(grad.dtype()));
      }
      return s.keep(norm);
    }
  }

  private static Tensor norm(List<Tensor> grads) {
    if (grads.isEmpty()) {
      return Tensor.of(new double[] {0}).reshape();
    }
    Tensor[] squares = new Tensor[grads.size()];
    for (int i = 0; i < squares.length; i++) {
      squares[i] = Updates.sumOfSquares(grads.get(i));
    }
    return Tensor.stack(0, squares).sum().sqrt();
  }

  private static List<Tensor> grads(List<Tensor> params) {
    List<Tensor> out = new ArrayList<>();
    for (Tensor param : params) {
      Tensor grad = param.grad();
      if (grad != null) {
        out.add(grad);
      }
    }
    return out;
  }
}
