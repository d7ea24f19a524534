package io.gradus.metrics;

/**
 * Some samples with all that a metric needs to know about them.
 *
 * @param <B> the type itself
 */
public interface Batch<B extends Batch<B>> {
  /** The number of samples. */
  int size();

  /**
   * The samples of the given rows, in that order.
   *
   * @throws io.gradus.core.ArgumentException when a row is out of range
   */
  B select(int[] rows);
}
