package io.gradus.metrics;

import io.gradus.core.Checks;

/**
 * The mean of losses, weighted, summed in double.
 *
 * <p>{@code sum(weight * loss) / sum(weight)}. NaN and infinite losses show in the value; a loss of
 * weight 0 does not count at all.
 */
public final class MeanLoss implements Metric<Losses> {
  private double sum;
  private double weight;

  /** Makes a metric without samples. */
  public MeanLoss() {}

  @Override
  public void update(Losses batch) {
    for (int i = 0; i < batch.size(); i++) {
      add(batch.loss(i), batch.weight(i));
    }
  }

  /**
   * Takes in a batch of which only the mean loss is known.
   *
   * @param mean the batch's mean loss
   * @param samples the number of samples that it is the mean of, or the sum of their weights
   * @throws io.gradus.core.ArgumentException when {@code samples} is negative, NaN or infinite
   */
  public void update(double mean, double samples) {
    Checks.argument(
        samples >= 0 && samples < Double.POSITIVE_INFINITY,
        "[meanLoss] the number of samples must be finite and not negative, got %s",
        samples);
    add(mean, samples);
  }

  private void add(double loss, double w) {
    if (w > 0) {
      sum += w * loss;
      weight += w;
    }
  }

  @Override
  public void reset() {
    sum = 0;
    weight = 0;
  }

  /** The sum of the weights so far. */
  public double weight() {
    return weight;
  }

  @Override
  public boolean isDefined() {
    return weight > 0;
  }

  @Override
  public double value() {
    Checks.state(isDefined(), "[meanLoss] no value yet: there was no sample of positive weight");
    return sum / weight;
  }
}
