package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** Hyperbolic tangent. Shapes: any. */
public final class Tanh extends Module {
  /** The function has no settings. */
  public Tanh() {}

  @Override
  public Tensor forward(Tensor x) {
    return x.tanh();
  }
}
