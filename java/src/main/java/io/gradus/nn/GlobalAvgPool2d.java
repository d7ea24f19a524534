package io.gradus.nn;

import io.gradus.tensor.Pool;
import io.gradus.tensor.Tensor;

/**
 * Mean over each image. Shapes: {@code x: [N, H, W, C] -> y: [N, C]}. Source: Lin et al., ICLR
 * 2014.
 */
public final class GlobalAvgPool2d extends Module {
  /** The function has no settings. */
  public GlobalAvgPool2d() {}

  @Override
  public Tensor forward(Tensor x) {
    return Pool.globalAvgPool2d(x);
  }
}
