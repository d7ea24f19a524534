package io.gradus.backend;

/** A float function of one float: the scalar meaning of a {@link UnaryOp} in float32. */
@FunctionalInterface
public interface FloatUnary {
  /** The function's value. */
  float apply(float x);
}
