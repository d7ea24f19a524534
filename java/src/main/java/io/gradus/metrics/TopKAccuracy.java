package io.gradus.metrics;

import io.gradus.core.Checks;

/**
 * The share of samples whose true class is among the k of highest score; of equal scores the first
 * classes come first.
 */
public final class TopKAccuracy implements Metric<Predictions> {
  private final int k;
  private long correct;
  private long count;

  /**
   * Makes a metric without samples.
   *
   * @param k how many guesses a sample has
   * @throws io.gradus.core.ArgumentException when k is below 1
   */
  public TopKAccuracy(int k) {
    Checks.argument(k >= 1, "[topKAccuracy] k must be at least 1, got %d", k);
    this.k = k;
  }

  /**
   * {@inheritDoc}
   *
   * @throws io.gradus.core.ArgumentException when there are fewer than k classes
   */
  @Override
  public void update(Predictions batch) {
    Checks.argument(
        k <= batch.classes(),
        "[topKAccuracy] k is %d but there are %d classes",
        k,
        batch.classes());
    for (int i = 0; i < batch.size(); i++) {
      if (batch.rankOfLabel(i) < k) {
        correct++;
      }
    }
    count += batch.size();
  }

  @Override
  public void reset() {
    correct = 0;
    count = 0;
  }

  /** The number of samples so far. */
  public long count() {
    return count;
  }

  /** The number of samples so far whose class was among the k. */
  public long correct() {
    return correct;
  }

  @Override
  public boolean isDefined() {
    return count > 0;
  }

  @Override
  public double value() {
    Checks.state(isDefined(), "[accuracy] no value yet: there was no sample");
    return (double) correct / count;
  }
}
