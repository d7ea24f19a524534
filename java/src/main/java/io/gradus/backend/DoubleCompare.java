package io.gradus.backend;

/** A relation of two doubles: the scalar meaning of a {@link CompareOp} in float64. */
@FunctionalInterface
public interface DoubleCompare {
  /** Whether the relation holds. */
  boolean test(double a, double b);
}
