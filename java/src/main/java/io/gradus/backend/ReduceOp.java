package io.gradus.backend;

/** Reductions along an axis; the ordinal is the opcode of the C ABI. */
public enum ReduceOp {
  /** Sum; 0 of nothing. */
  SUM,
  /** Maximum; NaN when an element is NaN; minus infinity (or the least integer) of nothing. */
  MAX,
  /** Minimum; NaN when an element is NaN; infinity (or the greatest integer) of nothing. */
  MIN,
  /** Product; 1 of nothing. */
  PROD
}
