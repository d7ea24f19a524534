package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.tensor.Tensor;

/**
 * y = max(x, 0); runs in the pass of a batch norm before it. Shapes: any. Source: Nair, Hinton,
 * ICML 2010.
 */
public final class ReLU extends Module {
  /** The function has no settings. */
  public ReLU() {}

  @Override
  public Tensor forward(Tensor x) {
    return x.relu();
  }

  @Override
  protected Activation epilogue() {
    return Activation.RELU;
  }
}
