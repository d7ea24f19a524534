package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** y = 1 / (1 + e^-x). Shapes: any. */
public final class Sigmoid extends Module {
  /** The function has no settings. */
  public Sigmoid() {}

  @Override
  public Tensor forward(Tensor x) {
    return x.sigmoid();
  }
}
