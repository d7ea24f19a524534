package io.gradus.backend;

/** Distributions that a backend draws from; the ordinal is the opcode of the C ABI. */
public enum RandomKind {
  /** Uniform on [a, b). */
  UNIFORM,
  /** Normal with mean a and standard deviation b. */
  NORMAL,
  /** Integers uniform on [a, b). */
  INTEGER
}
