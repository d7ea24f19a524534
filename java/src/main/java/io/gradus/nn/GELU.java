package io.gradus.nn;

import io.gradus.tensor.Tensor;

/**
 * y = x Phi(x), Phi the normal distribution function. Shapes: any. Source: Hendrycks, Gimpel,
 * arXiv:1606.08415.
 */
public final class GELU extends Module {
  private final boolean tanh;

  /** By the error function. */
  public GELU() {
    this(false);
  }

  /** By the error function, or by the approximation with tanh. */
  public GELU(boolean tanh) {
    this.tanh = tanh;
  }

  @Override
  public Tensor forward(Tensor x) {
    return tanh ? x.geluTanh() : x.gelu();
  }

  @Override
  protected String describe() {
    return tanh ? "GELU(tanh)" : "GELU";
  }
}
