package io.gradus.nn;

import io.gradus.tensor.Pool;
import io.gradus.tensor.Tensor;

/**
 * Mean over square windows; padding counts as zeros.
 *
 * <p>Shapes: {@code x: [N, H, W, C] -> y: [N, OH, OW, C]}, OH = floor((H + 2 padding - size) /
 * stride) + 1.
 */
public final class AvgPool2d extends Module {
  private final int size;
  private final int stride;
  private final int padding;

  /** Windows side by side, without padding. */
  public AvgPool2d(int size) {
    this(size, size, 0);
  }

  /**
   * Windows of a size and stride.
   *
   * @throws io.gradus.core.ArgumentException when size or stride is not positive, or the padding
   *     negative or more than half the size
   */
  public AvgPool2d(int size, int stride, int padding) {
    Pool.Window window = Pool.Window.of(size, stride, padding);
    this.size = window.height();
    this.stride = window.strideH();
    this.padding = window.padH();
  }

  @Override
  public Tensor forward(Tensor x) {
    return Pool.avgPool2d(x, size, stride, padding);
  }

  @Override
  protected String describe() {
    return "AvgPool2d(size=" + size + ", stride=" + stride + ", padding=" + padding + ")";
  }
}
