package io.gradus.benchmarks.kernels;

/**
 * What a device can do at most.
 *
 * @param flops float32 operations a second; not a number where unknown
 * @param tf32Flops operations a second on float32 rounded to TF32; not a number where unknown
 * @param halfFlops operations a second on 16-bit types; not a number where unknown
 * @param bytes bytes a second between the processor and its memory; not a number where unknown
 * @param cacheBytes size of a GPU's second cache, beyond which operands are rotated; 0 where they
 *     are not, as on processors
 * @param source where the figures are from, or why there are none
 */
record Limits(
    double flops,
    double tf32Flops,
    double halfFlops,
    double bytes,
    long cacheBytes,
    String source) {
  /** Those of a processor, with one rate for all. */
  static Limits processor(double flops, double bytes, String source) {
    return new Limits(flops, flops, flops, bytes, 0, source);
  }

  /** No figures. */
  static Limits unknown(String why) {
    return processor(Double.NaN, Double.NaN, why);
  }

  /** Whether there are figures. */
  boolean known() {
    return flops > 0 && bytes > 0;
  }

  /**
   * The shortest time in which a kernel's operations and memory traffic can be done, in seconds.
   */
  double seconds(KernelCase kernel) {
    return Math.max(kernel.flops() / rate(kernel), kernel.bytes() / bytes);
  }

  private double rate(KernelCase kernel) {
    if (kernel.dtype().isHalf()) {
      // Functions of single elements are not done on tensor cores.
      return isProduct(kernel) ? halfFlops : flops;
    }
    return switch (kernel.precision()) {
      case EXACT -> flops;
      case TF32 -> tf32Flops;
      case TF32X3 -> tf32Flops / 3;
    };
  }

  private static boolean isProduct(KernelCase kernel) {
    return switch (kernel.group()) {
      case "matmul", "conv", "attention" -> true;
      default -> false;
    };
  }
}
