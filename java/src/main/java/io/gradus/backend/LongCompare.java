package io.gradus.backend;

/** A relation of two longs: the scalar meaning of a {@link CompareOp} on integers. */
@FunctionalInterface
public interface LongCompare {
  /** Whether the relation holds. */
  boolean test(long a, long b);
}
