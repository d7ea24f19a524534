package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** Joins all axes but the first. Shapes: {@code x: [N, ..] -> y: [N, F]}. */
public final class Flatten extends Module {
  /** The function has no settings. */
  public Flatten() {}

  @Override
  public Tensor forward(Tensor x) {
    return x.flatten(1);
  }
}
