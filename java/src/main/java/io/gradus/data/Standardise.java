package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.Arrays;

/**
 * Shifts and scales every channel to mean 0 and deviation 1: {@code y = (x - mean) / std}.
 *
 * <p>Learnt on the training set alone and applied to every set; the two arrays belong with the
 * saved model. The channel is the last axis of a sample: a colour of an image, a column of a table.
 */
public final class Standardise {
  private final float[] mean;
  private final float[] std;

  /**
   * The transform of the given statistics, one of each per channel.
   *
   * @throws io.gradus.core.ArgumentException when the arrays differ in length or are empty, a value
   *     is not finite, or a deviation is not above zero
   */
  public Standardise(float[] mean, float[] std) {
    Checks.argument(
        mean.length == std.length && mean.length > 0,
        "[standardise] %d means and %d deviations: one of each per channel is needed",
        mean.length,
        std.length);
    for (int c = 0; c < mean.length; c++) {
      Checks.argument(
          Float.isFinite(mean[c]) && Float.isFinite(std[c]) && std[c] > 0,
          "[standardise] channel %d has mean %s and deviation %s: both must be finite, the"
              + " deviation above 0",
          c,
          mean[c],
          std[c]);
    }
    this.mean = mean.clone();
    this.std = std.clone();
  }

  /**
   * Learns the statistics of a data set.
   *
   * <p>The variance is the mean squared distance from the mean (biased), found in a second pass and
   * summed in float64, in the order of the samples: the result does not depend on threads. A
   * channel that never changes gets deviation 1.
   *
   * @throws io.gradus.core.ArgumentException when the set is empty or holds values that are not
   *     finite
   */
  public static Standardise learn(Dataset train) {
    Checks.argument(
        train.size() > 0, "[standardise] %s has no samples to learn from", train.name());
    int channels = channels(train.sampleShape());
    double count = (double) train.size() * train.sampleShape().numel() / channels;
    double[] zero = new double[channels];
    double[] mean = moment(train, zero, 1);
    for (int c = 0; c < channels; c++) {
      mean[c] /= count;
    }
    double[] variance = moment(train, mean, 2);
    float[] means = new float[channels];
    float[] stds = new float[channels];
    for (int c = 0; c < channels; c++) {
      means[c] = (float) mean[c];
      float std = (float) Math.sqrt(variance[c] / count);
      stds[c] = std > 0 ? std : 1;
    }
    return new Standardise(means, stds);
  }

  /** Sum over all samples of {@code (x - centre)^power}, per channel. */
  private static double[] moment(Dataset data, double[] centre, int power) {
    int channels = centre.length;
    float[] sample = new float[(int) data.sampleShape().numel()];
    double[] sum = new double[channels];
    for (int n = 0; n < data.size(); n++) {
      data.read(n, sample, 0);
      for (int i = 0; i < sample.length; i += channels) {
        for (int c = 0; c < channels; c++) {
          double d = sample[i + c] - centre[c];
          sum[c] += power == 1 ? d : d * d;
        }
      }
    }
    return sum;
  }

  private static int channels(Shape sampleShape) {
    Checks.shape(
        sampleShape.rank() > 0 && sampleShape.numel() > 0,
        "[standardise] samples of shape %s have no channels",
        sampleShape);
    return (int) sampleShape.dim(-1);
  }

  /** Mean of each channel, as a fresh array. */
  public float[] mean() {
    return mean.clone();
  }

  /** Deviation of each channel, as a fresh array. */
  public float[] std() {
    return std.clone();
  }

  /**
   * Requires that samples of a shape have as many channels as these statistics.
   *
   * @throws io.gradus.core.ShapeException when they do not
   */
  public void check(Shape sampleShape) {
    Checks.shape(
        channels(sampleShape) == mean.length,
        "[standardise] samples of shape %s have %d channels but the statistics are of %d",
        sampleShape,
        channels(sampleShape),
        mean.length);
  }

  /** Transforms whole samples in place, from {@code values[from]} up to {@code values[to - 1]}. */
  public void apply(float[] values, int from, int to) {
    int channels = mean.length;
    Checks.shape(
        (to - from) % channels == 0,
        "[standardise] %d values are not whole pixels of %d channels",
        to - from,
        channels);
    for (int i = from; i < to; i += channels) {
      for (int c = 0; c < channels; c++) {
        values[i + c] = (values[i + c] - mean[c]) / std[c];
      }
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Standardise s
        && Arrays.equals(mean, s.mean)
        && Arrays.equals(std, s.std);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(mean) + Arrays.hashCode(std);
  }

  @Override
  public String toString() {
    return "Standardise[mean=" + Arrays.toString(mean) + ", std=" + Arrays.toString(std) + "]";
  }
}
