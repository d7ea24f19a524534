package io.gradus.metrics;

import java.util.OptionalDouble;

/**
 * A measure that takes in samples batch by batch.
 *
 * <pre>{@code
 * Accuracy accuracy = new Accuracy();
 * accuracy.update(Predictions.of(logits, labels));
 * double share = accuracy.value();
 * }</pre>
 *
 * <p>Not thread-safe.
 *
 * @param <B> what a batch of it is made of
 */
public interface Metric<B extends Batch<B>> {
  /** Takes in the samples of a batch; an empty batch changes nothing. */
  void update(B batch);

  /** Forgets all samples. */
  void reset();

  /** Whether the samples so far determine a value; none do not. */
  boolean isDefined();

  /**
   * The value over all samples since the start or the last reset.
   *
   * @throws IllegalStateException when the samples do not determine one; the message says what
   *     lacks
   */
  double value();

  /** The value, or empty when the samples do not determine one. */
  default OptionalDouble optionalValue() {
    return isDefined() ? OptionalDouble.of(value()) : OptionalDouble.empty();
  }
}
