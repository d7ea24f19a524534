package io.gradus.benchmarks.kernels;

import io.gradus.core.DType;

/**
 * A kernel with sizes.
 *
 * @param group its group of operations
 * @param name the operation
 * @param shape the sizes, for people
 * @param dtype element type
 * @param flops additions, multiplications and other functions of one call
 * @param bytes what one call must at least read and write: every operand once
 * @param setup takes the operands from a bench, and gives the call
 */
record KernelCase(
    String group, String name, String shape, DType dtype, double flops, double bytes, Setup setup) {
  /** Makes a kernel's operands. */
  interface Setup {
    Runnable prepare(Workbench bench);
  }

  /** Operations for every byte of traffic. */
  double intensity() {
    return flops / bytes;
  }
}
