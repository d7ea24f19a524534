package io.gradus.benchmarks.kernels;

/**
 * What a device can do at most.
 *
 * @param flops float32 operations a second; not a number where unknown
 * @param halfFlops operations a second on 16-bit types; not a number where unknown
 * @param bytes bytes a second between the processor and its memory; not a number where unknown
 * @param source where the figures are from, or why there are none
 */
record Limits(double flops, double halfFlops, double bytes, String source) {
  /** No figures. */
  static Limits unknown(String why) {
    return new Limits(Double.NaN, Double.NaN, Double.NaN, why);
  }

  /** Whether there are figures. */
  boolean known() {
    return flops > 0 && bytes > 0;
  }

  /**
   * The shortest time in which a kernel's operations and memory traffic can be done, in seconds.
   */
  double seconds(KernelCase kernel) {
    double rate = kernel.dtype().isHalf() ? halfFlops : flops;
    return Math.max(kernel.flops() / rate, kernel.bytes() / bytes);
  }
}
