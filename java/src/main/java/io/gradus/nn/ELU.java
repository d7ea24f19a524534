package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** y = x where x > 0, else alpha (e^x - 1). Shapes: any. Source: Clevert et al., ICLR 2016. */
public final class ELU extends Module {
  private final double alpha;

  /** With alpha 1.0. */
  public ELU() {
    this(1.0);
  }

  /** With the limit -alpha for negative x. */
  public ELU(double alpha) {
    this.alpha = alpha;
  }

  @Override
  public Tensor forward(Tensor x) {
    return x.elu(alpha);
  }

  @Override
  protected String describe() {
    return "ELU(alpha=" + alpha + ")";
  }
}
