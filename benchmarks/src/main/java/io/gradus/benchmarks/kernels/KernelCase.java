package io.gradus.benchmarks.kernels;

import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;
import java.util.Locale;

/**
 * A kernel with sizes.
 *
 * @param group its group of operations
 * @param name the operation
 * @param shape the sizes, for people
 * @param dtype element type
 * @param precision how exact products of float32 are
 * @param flops additions, multiplications and other functions of one call
 * @param bytes what one call must at least read and write: every operand once
 * @param setup takes the operands from a bench, and gives the call
 * @param goal what it should reach on a GPU
 * @param peer how the workers of other engines are told to do the same: a name, sizes and type;
 *     empty where it cannot
 */
record KernelCase(
    String group,
    String name,
    String shape,
    DType dtype,
    ProductPrecision precision,
    double flops,
    double bytes,
    Setup setup,
    Goal goal,
    String peer) {
  /** Makes a kernel's operands. */
  interface Setup {
    Runnable prepare(Workbench bench);
  }

  /** One that stands for itself, of exact products. */
  KernelCase(
      String group,
      String name,
      String shape,
      DType dtype,
      double flops,
      double bytes,
      Setup setup) {
    this(group, name, shape, dtype, ProductPrecision.EXACT, flops, bytes, setup, Goal.NONE, "");
  }

  /** Operations for every byte of traffic. */
  double intensity() {
    return flops / bytes;
  }

  /** The element type, or the arithmetic where that is another. */
  String type() {
    return (precision == ProductPrecision.EXACT ? dtype.name() : precision.name())
        .toLowerCase(Locale.ROOT);
  }

  /** What tells it from every other kernel. */
  String key() {
    return String.join("|", group, name, shape, type());
  }
}
