package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Norm;
import io.gradus.tensor.Tensor;

/**
 * Normalises the last axis of every row: y = (x - mean) / sqrt(variance + eps) weight + bias, the
 * variance biased.
 *
 * <p>Shapes: {@code x: [.., F]}, y alike. Source: Ba, Kiros, Hinton, arXiv:1607.06450.
 */
public final class LayerNorm extends Module {
  private final Tensor weight;
  private final Tensor bias;
  private final double eps;

  /** With eps 1e-5. */
  public LayerNorm(long features) {
    this(features, 1e-5);
  }

  /**
   * With an eps of its own.
   *
   * @throws io.gradus.core.ArgumentException when features is not positive or eps negative
   */
  public LayerNorm(long features, double eps) {
    Checks.argument(features > 0, "[layerNorm] %d features: must be positive", features);
    Checks.argument(eps >= 0, "[layerNorm] eps %s must be >= 0", eps);
    this.eps = eps;
    weight = registerParameter("weight", Tensor.ones(features));
    bias = registerParameter("bias", Tensor.zeros(features));
  }

  @Override
  public Tensor forward(Tensor x) {
    return Norm.layerNorm(x, weight, bias, eps);
  }

  @Override
  protected String describe() {
    return "LayerNorm(" + weight.numel() + ")";
  }
}
