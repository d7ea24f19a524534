package io.gradus.backend;

import java.util.function.DoubleBinaryOperator;
import java.util.function.LongBinaryOperator;

/**
 * Element-wise functions of two tensors of the same type, with broadcasting. Each constant carries
 * its scalar meaning in float32, float64 and on integers (BOOL: MIN is and, MAX is or); the ordinal
 * is the opcode of the C ABI, so new constants go to the end.
 */
public enum BinaryOp {
  /** a + b. */
  ADD((a, b) -> a + b, (a, b) -> a + b, (a, b) -> a + b),
  /** a - b. */
  SUB((a, b) -> a - b, (a, b) -> a - b, (a, b) -> a - b),
  /** a b. */
  MUL((a, b) -> a * b, (a, b) -> a * b, (a, b) -> a * b),
  /** a / b; integers round toward minus infinity, and dividing by 0 gives 0. */
  DIV((a, b) -> a / b, (a, b) -> a / b, (a, b) -> b == 0 ? 0 : Math.floorDiv(a, b)),
  /** a to the power of b. */
  POW(
      (a, b) -> (float) Math.pow(a, b),
      Math::pow,
      (a, b) -> (long) Math.pow((double) a, (double) b)),
  /** The larger; NaN when either is NaN. */
  MAX(Math::max, Math::max, Math::max),
  /** The smaller; NaN when either is NaN. */
  MIN(Math::min, Math::min, Math::min),
  /** a, but 0 where b &lt;= 0: the gradient through RELU, of which b is the output. */
  GATE((a, b) -> b <= 0 ? 0 : a, (a, b) -> b <= 0 ? 0 : a, (a, b) -> b <= 0 ? 0 : a);

  private final FloatBinary onFloat;
  private final DoubleBinaryOperator onDouble;
  private final LongBinaryOperator onLong;

  BinaryOp(FloatBinary onFloat, DoubleBinaryOperator onDouble, LongBinaryOperator onLong) {
    this.onFloat = onFloat;
    this.onDouble = onDouble;
    this.onLong = onLong;
  }

  /** The function in float32. */
  public FloatBinary onFloat() {
    return onFloat;
  }

  /** The function in float64; the 16-bit types round its value. */
  public DoubleBinaryOperator onDouble() {
    return onDouble;
  }

  /** The function on integers. */
  public LongBinaryOperator onLong() {
    return onLong;
  }
}
