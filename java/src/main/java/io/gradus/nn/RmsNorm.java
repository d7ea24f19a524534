package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Norm;
import io.gradus.tensor.Tensor;

/**
 * Divides every row by its root mean square: y = x / sqrt(mean(x^2) + eps) weight.
 *
 * <p>Shapes: {@code x: [.., F]}, y alike; weight [F] starts as ones. Source: Zhang, Sennrich,
 * NeurIPS 2019.
 */
public final class RmsNorm extends Module {
  private final Tensor weight;
  private final double eps;

  /** With eps 1e-6. */
  public RmsNorm(long features) {
    this(features, 1e-6);
  }

  /**
   * With an eps of its own.
   *
   * @throws io.gradus.core.ArgumentException when features is not positive or eps negative
   */
  public RmsNorm(long features, double eps) {
    Checks.argument(features > 0, "[rmsNorm] %d features: must be positive", features);
    Checks.argument(eps >= 0, "[rmsNorm] eps %s must be >= 0", eps);
    this.eps = eps;
    weight = registerParameter("weight", Tensor.ones(features));
  }

  @Override
  public Tensor forward(Tensor x) {
    return Norm.rmsNorm(x, weight, eps);
  }

  @Override
  protected String describe() {
    return "RmsNorm(" + weight.numel() + ")";
  }
}
