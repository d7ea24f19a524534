package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;

/**
 * Sets whole channels of an image to 0 with probability p in training and scales the others by 1 /
 * (1 - p).
 *
 * <p>Shapes: {@code [N, H, W, C]}. Source: Tompson et al., CVPR 2015.
 */
public final class Dropout2d extends Module {
  private final double p;

  /**
   * Dropping with probability p.
   *
   * @throws io.gradus.core.ArgumentException when p is not in [0, 1]
   */
  public Dropout2d(double p) {
    Checks.argument(0 <= p && p <= 1, "[dropout] p %s must be in [0, 1]", p);
    this.p = p;
  }

  @Override
  public Tensor forward(Tensor x) {
    return io.gradus.tensor.Dropout.dropoutChannels(x, p, isTraining());
  }

  @Override
  protected String describe() {
    return "Dropout2d(" + p + ")";
  }
}
