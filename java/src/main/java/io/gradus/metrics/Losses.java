package io.gradus.metrics;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import java.util.Arrays;

/** A batch of losses, one per sample, with the weight of each. */
public final class Losses implements Batch<Losses> {
  private final double[] losses;
  private final double[] weights;

  private Losses(double[] losses, double[] weights) {
    this.losses = losses;
    this.weights = weights;
  }

  /** Losses of equal weight 1. NaN and infinite losses are kept and show in the mean. */
  public static Losses of(double... losses) {
    double[] weights = new double[losses.length];
    Arrays.fill(weights, 1);
    return new Losses(losses.clone(), weights);
  }

  /**
   * Weighted losses.
   *
   * @throws io.gradus.core.ShapeException when the lengths differ
   * @throws io.gradus.core.ArgumentException when a weight is negative, NaN or infinite
   */
  public static Losses of(double[] losses, double[] weights) {
    Checks.shape(
        losses.length == weights.length,
        "[losses] %d losses but %d weights",
        losses.length,
        weights.length);
    for (double weight : weights) {
      Checks.argument(
          weight >= 0 && weight < Double.POSITIVE_INFINITY,
          "[losses] weights must be finite and not negative, got %s",
          weight);
    }
    return new Losses(losses.clone(), weights.clone());
  }

  /**
   * Losses of equal weight 1.
   *
   * <p>Shapes: losses: [B].
   *
   * @throws io.gradus.core.ShapeException when the tensor is not of rank 1
   */
  public static Losses of(Tensor losses) {
    Checks.shape(
        losses.rank() == 1,
        "[losses] one loss per sample must be [B], got %s: for a batch's mean, call"
            + " MeanLoss.update(mean, samples)",
        losses.shape());
    return of(losses.toDoubles());
  }

  @Override
  public int size() {
    return losses.length;
  }

  /** The loss of a sample. */
  public double loss(int sample) {
    return losses[sample];
  }

  /** The weight of a sample. */
  public double weight(int sample) {
    return weights[sample];
  }

  @Override
  public Losses select(int[] rows) {
    double[] chosen = new double[rows.length];
    double[] chosenWeights = new double[rows.length];
    for (int i = 0; i < rows.length; i++) {
      Rows.check(rows[i], losses.length);
      chosen[i] = losses[rows[i]];
      chosenWeights[i] = weights[rows[i]];
    }
    return new Losses(chosen, chosenWeights);
  }
}
