package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Norm;
import io.gradus.tensor.Tensor;

/**
 * Normalises groups of neighbouring channels of every sample over all positions: y = (x - mean) /
 * sqrt(variance + eps) weight + bias, the variance biased. Training and evaluation are alike.
 *
 * <p>Shapes: {@code x: [N, .., C]}, y alike; weight [C] starts as ones, bias [C] as zeros. Source:
 * Wu, He, ECCV 2018.
 *
 * <pre>{@code
 * Module norm = new GroupNorm(8, 64);   // groups of 8 channels
 * }</pre>
 */
public final class GroupNorm extends Module {
  private final Tensor weight;
  private final Tensor bias;
  private final long groups;
  private final double eps;

  /** With eps 1e-5. */
  public GroupNorm(long groups, long channels) {
    this(groups, channels, 1e-5);
  }

  /**
   * With an eps of its own.
   *
   * @param groups number of groups
   * @param channels extent of the last axis
   * @param eps added to the variance
   * @throws io.gradus.core.ArgumentException when a number is not positive, the groups do not
   *     divide the channels, or eps is negative
   */
  public GroupNorm(long groups, long channels, double eps) {
    Checks.argument(
        groups > 0 && channels > 0 && channels % groups == 0,
        "[groupNorm] %d groups do not divide %d channels",
        groups,
        channels);
    Checks.argument(eps >= 0, "[groupNorm] eps %s must be >= 0", eps);
    this.groups = groups;
    this.eps = eps;
    weight = registerParameter("weight", Tensor.ones(channels));
    bias = registerParameter("bias", Tensor.zeros(channels));
  }

  @Override
  public Tensor forward(Tensor x) {
    return Norm.groupNorm(x, groups, weight, bias, eps);
  }

  @Override
  protected String describe() {
    return "GroupNorm(" + groups + ", " + weight.numel() + ")";
  }
}
