package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** The first values of linear and convolution layers, as PyTorch's. */
final class Defaults {
  /** Kaiming with the slope that PyTorch assumes, the root of 5: the bound is 1 / sqrt(fan-in). */
  private static final double GAIN = Initializers.gainLeakyRelu(Math.sqrt(5));

  private Defaults() {}

  /** A weight [out, .., in], uniform within 1 / sqrt(fan-in). */
  static Tensor weight(long... dims) {
    return Initializers.kaimingUniform(Tensor.zeros(dims), Initializers.Fan.IN, GAIN);
  }

  /** A bias [out], uniform within 1 / sqrt(fan-in). */
  static Tensor bias(long out, long fanIn) {
    double bound = 1 / Math.sqrt((double) fanIn);
    return Initializers.uniform(Tensor.zeros(out), -bound, bound);
  }
}
