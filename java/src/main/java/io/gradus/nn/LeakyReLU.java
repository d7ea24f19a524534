package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** y = x where x > 0, else slope x. Shapes: any. Source: Maas, Hannun, Ng, ICML 2013. */
public final class LeakyReLU extends Module {
  private final double slope;

  /** With slope 0.01. */
  public LeakyReLU() {
    this(0.01);
  }

  /** With a slope for negative x. */
  public LeakyReLU(double slope) {
    this.slope = slope;
  }

  @Override
  public Tensor forward(Tensor x) {
    return x.leakyRelu(slope);
  }

  @Override
  protected String describe() {
    return "LeakyReLU(slope=" + slope + ")";
  }
}
