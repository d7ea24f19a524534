package io.gradus.tensor;

import io.gradus.core.Checks;

/** Checks that the operations of several tensors share. */
final class Operands {
  private Operands() {}

  /** Requires that an operand has the device and the type of x. */
  static void check(String op, Tensor x, String name, Tensor operand) {
    x.sameDevice(op, operand);
    Checks.dtype(
        operand.dtype() == x.dtype(),
        "[%s] x is %s but %s is %s: convert one with to(DType)",
        op,
        x.dtype(),
        name,
        operand.dtype());
  }
}
