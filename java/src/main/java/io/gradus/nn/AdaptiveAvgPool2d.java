package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Pool;
import io.gradus.tensor.Tensor;

/**
 * Mean over windows chosen so that the result has a given size.
 *
 * <p>Shapes: {@code x: [N, H, W, C] -> y: [N, height, width, C]}.
 */
public final class AdaptiveAvgPool2d extends Module {
  private final int height;
  private final int width;

  /**
   * To a height and width.
   *
   * @throws io.gradus.core.ArgumentException when one is not positive
   */
  public AdaptiveAvgPool2d(int height, int width) {
    Checks.argument(
        height > 0 && width > 0,
        "[adaptiveAvgPool2d] size (%d, %d) must be positive",
        height,
        width);
    this.height = height;
    this.width = width;
  }

  @Override
  public Tensor forward(Tensor x) {
    return Pool.adaptiveAvgPool2d(x, height, width);
  }

  @Override
  protected String describe() {
    return "AdaptiveAvgPool2d(" + height + ", " + width + ")";
  }
}
