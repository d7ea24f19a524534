package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Norm;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Normalises every channel of every image by its own mean and (biased) variance: y = (x - mean) /
 * sqrt(variance + eps), with weight and bias if wished. Training and evaluation are alike.
 *
 * <p>Shapes: {@code x: [N, H, W, C]}, y alike. Source: Ulyanov, Vedaldi, Lempitsky,
 * arXiv:1607.08022.
 */
public final class InstanceNorm2d extends Module {
  private final @Nullable Tensor weight;
  private final @Nullable Tensor bias;
  private final long channels;
  private final double eps;

  /** With eps 1e-5 and, as in PyTorch, without weight and bias. */
  public InstanceNorm2d(long channels) {
    this(channels, 1e-5, false);
  }

  /**
   * With an eps of its own.
   *
   * @param channels extent of the last axis
   * @param eps added to the variance
   * @param affine whether there are a weight [C], which starts as ones, and a bias [C] of zeros
   * @throws io.gradus.core.ArgumentException when channels is not positive or eps negative
   */
  public InstanceNorm2d(long channels, double eps, boolean affine) {
    Checks.argument(channels > 0, "[instanceNorm] %d channels: must be positive", channels);
    Checks.argument(eps >= 0, "[instanceNorm] eps %s must be >= 0", eps);
    this.channels = channels;
    this.eps = eps;
    weight = affine ? registerParameter("weight", Tensor.ones(channels)) : null;
    bias = affine ? registerParameter("bias", Tensor.zeros(channels)) : null;
  }

  @Override
  public Tensor forward(Tensor x) {
    Checks.shape(
        x.rank() == 4 && x.size(3) == channels,
        "[instanceNorm] InstanceNorm2d takes [N, H, W, %d], not %s",
        channels,
        x.shape());
    return Norm.instanceNorm(x, weight, bias, eps);
  }

  @Override
  protected String describe() {
    return "InstanceNorm2d(" + channels + (weight == null ? ")" : ", affine)");
  }
}
