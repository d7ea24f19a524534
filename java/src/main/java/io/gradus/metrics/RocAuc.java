package io.gradus.metrics;

import io.gradus.core.Checks;
import java.util.Arrays;
import java.util.OptionalDouble;

/**
 * The area under the ROC curve, exact: the probability that a random positive sample scores higher
 * than a random negative one, ties counting one half.
 *
 * <p>Two classes: class 1 is positive. More classes: each against the rest, and the plain mean over
 * those for which the samples have both positives and negatives. Undefined when there is no such
 * class. Samples are compared by the log-odds {@code s_c - logsumexp(s_j, j != c)} of their scores:
 * the order of softmax probabilities, without their saturation at 0 and 1; for two classes it is
 * {@code s_1 - s_0}. Memory: 8 bytes per sample and class.
 *
 * <p>Source: Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 143
 * (1982); the Mann-Whitney statistic.
 */
public final class RocAuc implements Metric<Predictions> {
  private final int classes;
  private double[] odds = new double[0];
  private int[] labels = new int[0];
  private int count;

  /**
   * Makes a metric without samples.
   *
   * @param classes the number of classes, at least 2
   * @throws io.gradus.core.ArgumentException when there are fewer than 2
   */
  public RocAuc(int classes) {
    Checks.argument(classes >= 2, "[rocAuc] there must be two classes or more, got %d", classes);
    this.classes = classes;
  }

  /**
   * {@inheritDoc}
   *
   * @throws io.gradus.core.ShapeException when the batch has another number of classes
   * @throws io.gradus.core.ArgumentException when a sample's scores are all negative infinity, or
   *     two are positive infinity: they give no odds
   */
  @Override
  public void update(Predictions batch) {
    Checks.shape(
        batch.classes() == classes,
        "[rocAuc] the batch has %d classes, the metric %d",
        batch.classes(),
        classes);
    int total = Math.addExact(count, batch.size());
    if (total > labels.length) {
      int capacity =
          Math.max(total, (int) Math.min(2L * labels.length, Integer.MAX_VALUE / classes));
      labels = Arrays.copyOf(labels, capacity);
      odds = Arrays.copyOf(odds, Math.multiplyExact(capacity, classes));
    }
    for (int i = 0; i < batch.size(); i++) {
      for (int c = 0; c < classes; c++) {
        double value = logOdds(batch, i, c);
        Checks.argument(
            !Double.isNaN(value),
            "[rocAuc] the infinite scores of sample %d give no odds for class %d: clip the logits",
            i,
            c);
        odds[(count + i) * classes + c] = value;
      }
      labels[count + i] = batch.label(i);
    }
    count = total;
  }

  private static double logOdds(Predictions batch, int sample, int cls) {
    double max = Double.NEGATIVE_INFINITY;
    for (int c = 0; c < batch.classes(); c++) {
      if (c != cls) {
        max = Math.max(max, batch.score(sample, c));
      }
    }
    double rest = max;
    if (batch.classes() > 2 && Double.isFinite(max)) {
      double sum = 0;
      for (int c = 0; c < batch.classes(); c++) {
        if (c != cls) {
          sum += Math.exp(batch.score(sample, c) - max);
        }
      }
      rest += Math.log(sum);
    }
    // Adding 0 turns -0 into 0, which sorting would set apart.
    return batch.score(sample, cls) - rest + 0.0;
  }

  @Override
  public void reset() {
    count = 0;
  }

  /** The number of samples so far. */
  public int count() {
    return count;
  }

  /**
   * The area of one class against the rest, or empty when the samples lack positives or negatives.
   *
   * @throws io.gradus.core.ArgumentException when the class is out of range
   */
  public OptionalDouble value(int cls) {
    Checks.argument(
        cls >= 0 && cls < classes,
        "[rocAuc] class %d is out of range for %d classes",
        cls,
        classes);
    double[] positives = new double[count];
    double[] negatives = new double[count];
    int p = 0;
    int n = 0;
    for (int i = 0; i < count; i++) {
      double value = odds[i * classes + cls];
      if (labels[i] == cls) {
        positives[p++] = value;
      } else {
        negatives[n++] = value;
      }
    }
    if (p == 0 || n == 0) {
      return OptionalDouble.empty();
    }
    Arrays.sort(positives, 0, p);
    Arrays.sort(negatives, 0, n);
    // Twice the number of pairs in the right order, so that ties stay whole numbers.
    long halves = 0;
    int below = 0;
    int notAbove = 0;
    for (int i = 0; i < p; i++) {
      while (below < n && negatives[below] < positives[i]) {
        below++;
      }
      while (notAbove < n && negatives[notAbove] <= positives[i]) {
        notAbove++;
      }
      halves += (long) below + notAbove;
    }
    return OptionalDouble.of(halves / (2.0 * p * n));
  }

  @Override
  public boolean isDefined() {
    for (int i = 1; i < count; i++) {
      if (labels[i] != labels[0]) {
        return true;
      }
    }
    return false;
  }

  @Override
  public double value() {
    Checks.state(
        isDefined(),
        "[rocAuc] undefined for %d samples of one class: it needs samples of two classes or more",
        count);
    if (classes == 2) {
      return value(1).orElseThrow();
    }
    double sum = 0;
    int defined = 0;
    for (int c = 0; c < classes; c++) {
      OptionalDouble area = value(c);
      if (area.isPresent()) {
        sum += area.getAsDouble();
        defined++;
      }
    }
    return sum / defined;
  }
}
