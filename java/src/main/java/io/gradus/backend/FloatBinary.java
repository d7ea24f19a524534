package io.gradus.backend;

/** A float function of two floats: the scalar meaning of a {@link BinaryOp} in float32. */
@FunctionalInterface
public interface FloatBinary {
  /** The function's value. */
  float apply(float a, float b);
}
