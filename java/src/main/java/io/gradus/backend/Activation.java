package io.gradus.backend;

/** What a fused operation applies to its result; the ordinal is the opcode of the C ABI. */
public enum Activation {
  /** Nothing. */
  NONE,
  /** max(x, 0). */
  RELU
}
