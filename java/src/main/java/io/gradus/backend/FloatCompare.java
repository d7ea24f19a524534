package io.gradus.backend;

/** A relation of two floats: the scalar meaning of a {@link CompareOp} in float32. */
@FunctionalInterface
public interface FloatCompare {
  /** Whether the relation holds. */
  boolean test(float a, float b);
}
