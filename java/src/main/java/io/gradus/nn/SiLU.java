package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** y = x sigmoid(x). Shapes: any. Source: Elfwing, Uchibe, Doya, arXiv:1702.03118. */
public final class SiLU extends Module {
  /** The function has no settings. */
  public SiLU() {}

  @Override
  public Tensor forward(Tensor x) {
    return x.silu();
  }
}
