package io.gradus.backend;

/**
 * Relations of two tensors of the same type, with broadcasting; the result is BOOL. Comparisons
 * with NaN are false but for NE. The ordinal is the opcode of the C ABI.
 */
public enum CompareOp {
  /** a = b. */
  EQ((a, b) -> a == b, (a, b) -> a == b, (a, b) -> a == b),
  /** a differs from b. */
  NE((a, b) -> a != b, (a, b) -> a != b, (a, b) -> a != b),
  /** a &lt; b. */
  LT((a, b) -> a < b, (a, b) -> a < b, (a, b) -> a < b),
  /** a &lt;= b. */
  LE((a, b) -> a <= b, (a, b) -> a <= b, (a, b) -> a <= b),
  /** a > b. */
  GT((a, b) -> a > b, (a, b) -> a > b, (a, b) -> a > b),
  /** a >= b. */
  GE((a, b) -> a >= b, (a, b) -> a >= b, (a, b) -> a >= b);

  private final FloatCompare onFloat;
  private final DoubleCompare onDouble;
  private final LongCompare onLong;

  CompareOp(FloatCompare onFloat, DoubleCompare onDouble, LongCompare onLong) {
    this.onFloat = onFloat;
    this.onDouble = onDouble;
    this.onLong = onLong;
  }

  /** The relation in float32. */
  public FloatCompare onFloat() {
    return onFloat;
  }

  /** The relation in float64. */
  public DoubleCompare onDouble() {
    return onDouble;
  }

  /** The relation on integers. */
  public LongCompare onLong() {
    return onLong;
  }
}
