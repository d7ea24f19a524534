package io.gradus.metrics;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import io.gradus.tensor.Tensor;

/**
 * A batch of classified samples: a score for every class, and the true class.
 *
 * <p>Scores are logits or log-probabilities; the class of the highest score is predicted, the first
 * one among equals. A NaN score is an error, not a wrong answer: it means that the model has
 * diverged, and every measure of it would hide that. Infinite scores are allowed.
 */
public final class Predictions implements Batch<Predictions> {
  private final double[] scores;
  private final int classes;
  private final long[] labels;

  private Predictions(double[] scores, int classes, long[] labels) {
    this.scores = scores;
    this.classes = classes;
    this.labels = labels;
  }

  /**
   * A batch from a model's output.
   *
   * <p>Shapes: logits: [B, K], labels: [B].
   *
   * @param logits a floating tensor on any device
   * @param labels an INT64 tensor of class numbers from 0 to K - 1
   * @throws io.gradus.core.ShapeException when the shapes do not fit
   * @throws io.gradus.core.DTypeException when logits are not floating or labels not INT64
   * @throws io.gradus.core.ArgumentException when a score is NaN or a label out of range
   */
  public static Predictions of(Tensor logits, Tensor labels) {
    Checks.shape(logits.rank() == 2, "[predictions] logits must be [B, K], got %s", logits.shape());
    return of(
        doubles(logits), (int) logits.size(1), labels(labels, logits.size(0), logits.shape()));
  }

  /**
   * A batch of a two-class model with one output per sample; above 0 means class 1.
   *
   * <p>Shapes: logits: [B] or [B, 1], labels: [B].
   *
   * @throws io.gradus.core.ShapeException when the shapes do not fit
   * @throws io.gradus.core.DTypeException when logits are not floating or labels not INT64
   * @throws io.gradus.core.ArgumentException when a score is NaN or a label neither 0 nor 1
   */
  public static Predictions ofBinary(Tensor logits, Tensor labels) {
    Shape shape = logits.shape();
    Checks.shape(
        shape.rank() == 1 || (shape.rank() == 2 && shape.dim(1) == 1),
        "[predictions] two-class logits must be [B] or [B, 1], got %s",
        shape);
    return ofBinary(doubles(logits), labels(labels, shape.dim(0), shape));
  }

  /**
   * A batch from arrays.
   *
   * @param scores the scores, one row of {@code classes} numbers after another
   * @param classes the number of classes
   * @param labels the true classes, one per row
   * @throws io.gradus.core.ShapeException when the lengths do not fit
   * @throws io.gradus.core.ArgumentException when a score is NaN or a label out of range
   */
  public static Predictions of(double[] scores, int classes, long[] labels) {
    Checks.argument(classes >= 1, "[predictions] there must be a class, got %d", classes);
    Checks.shape(
        scores.length == (long) labels.length * classes,
        "[predictions] %d scores do not fit %d labels of %d classes",
        scores.length,
        labels.length,
        classes);
    for (int i = 0; i < scores.length; i++) {
      Checks.argument(
          !Double.isNaN(scores[i]),
          "[predictions] the score of sample %d for class %d is NaN: the model has diverged, lower"
              + " the learning rate",
          i / classes,
          i % classes);
    }
    checkClasses(labels, classes, "label");
    return new Predictions(scores.clone(), classes, labels.clone());
  }

  /**
   * A batch of a two-class model with one score per sample; above 0 means class 1.
   *
   * @throws io.gradus.core.ShapeException when the lengths differ
   * @throws io.gradus.core.ArgumentException when a score is NaN or a label neither 0 nor 1
   */
  public static Predictions ofBinary(double[] scores, long[] labels) {
    double[] both = new double[2 * scores.length];
    for (int i = 0; i < scores.length; i++) {
      both[2 * i + 1] = scores[i];
    }
    return of(both, 2, labels);
  }

  /**
   * A batch of which only the predicted classes are known; they score 1 and the others 0.
   *
   * @throws io.gradus.core.ShapeException when the lengths differ
   * @throws io.gradus.core.ArgumentException when a class is out of range
   */
  public static Predictions ofClasses(long[] predicted, int classes, long[] labels) {
    Checks.argument(classes >= 1, "[predictions] there must be a class, got %d", classes);
    checkClasses(predicted, classes, "prediction");
    double[] scores = new double[Math.multiplyExact(predicted.length, classes)];
    for (int i = 0; i < predicted.length; i++) {
      scores[i * classes + (int) predicted[i]] = 1;
    }
    return of(scores, classes, labels);
  }

  private static double[] doubles(Tensor logits) {
    Checks.dtype(
        logits.dtype().isFloating(),
        "[predictions] logits must be floating, got %s: pass the model's output, not classes",
        logits.dtype());
    return logits.toDoubles();
  }

  private static long[] labels(Tensor labels, long batch, Shape logits) {
    Checks.dtype(
        labels.dtype() == DType.INT64,
        "[predictions] labels must be INT64 class numbers, got %s",
        labels.dtype());
    Checks.shape(
        labels.rank() == 1 && labels.size(0) == batch,
        "[predictions] labels must be [%d] for logits %s, got %s",
        batch,
        logits,
        labels.shape());
    return labels.toLongs();
  }

  private static void checkClasses(long[] values, int classes, String what) {
    for (int i = 0; i < values.length; i++) {
      Checks.argument(
          values[i] >= 0 && values[i] < classes,
          "[predictions] %s %d of sample %d is out of range for %d classes (valid: 0 to %d)",
          what,
          values[i],
          i,
          classes,
          classes - 1);
    }
  }

  @Override
  public int size() {
    return labels.length;
  }

  /** The number of classes. */
  public int classes() {
    return classes;
  }

  /** The true class of a sample. */
  public int label(int sample) {
    return (int) labels[sample];
  }

  /** The score of a sample for a class. */
  public double score(int sample, int cls) {
    Checks.argument(
        cls >= 0 && cls < classes,
        "[predictions] class %d is out of range for %d classes",
        cls,
        classes);
    return scores[sample * classes + cls];
  }

  /** The class of a sample's highest score, the first among equals. */
  public int predicted(int sample) {
    int best = 0;
    for (int c = 1; c < classes; c++) {
      if (score(sample, c) > score(sample, best)) {
        best = c;
      }
    }
    return best;
  }

  /** How many classes come before the true one when ordered by score, the first among equals. */
  public int rankOfLabel(int sample) {
    int label = label(sample);
    double own = score(sample, label);
    int before = 0;
    for (int c = 0; c < classes; c++) {
      double other = score(sample, c);
      if (other > own || (other == own && c < label)) {
        before++;
      }
    }
    return before;
  }

  @Override
  public Predictions select(int[] rows) {
    double[] chosen = new double[rows.length * classes];
    long[] chosenLabels = new long[rows.length];
    for (int i = 0; i < rows.length; i++) {
      Rows.check(rows[i], labels.length);
      System.arraycopy(scores, rows[i] * classes, chosen, i * classes, classes);
      chosenLabels[i] = labels[rows[i]];
    }
    return new Predictions(chosen, classes, chosenLabels);
  }

  /** Such as {@code Predictions[64 samples, 10 classes]}. */
  @Override
  public String toString() {
    return "Predictions[" + size() + " samples, " + classes + " classes]";
  }
}
