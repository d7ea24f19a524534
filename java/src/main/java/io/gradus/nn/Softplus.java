package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** y = log(1 + e^x). Shapes: any. */
public final class Softplus extends Module {
  /** The function has no settings. */
  public Softplus() {}

  @Override
  public Tensor forward(Tensor x) {
    return x.softplus();
  }
}
