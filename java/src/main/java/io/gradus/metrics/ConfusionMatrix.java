package io.gradus.metrics;

import io.gradus.core.Checks;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntToDoubleFunction;

/**
 * How often samples of each class (row) were taken for each class (column), and the measures that
 * follow from these counts.
 *
 * <p>With TP, FP and FN of a class: {@code precision = TP / (TP + FP)}, {@code recall = TP / (TP +
 * FN)}, {@code F1 = 2 TP / (2 TP + FP + FN)}. A measure whose denominator is zero (a class never
 * predicted has no precision, one that never occurs no recall) counts as 0, and so enters averages.
 */
public final class ConfusionMatrix implements Metric<Predictions> {
  private final List<String> names;
  private final int classes;
  private final long[] counts;

  /**
   * Makes a matrix without samples, its classes named by their numbers.
   *
   * @throws io.gradus.core.ArgumentException when there is no class
   */
  public ConfusionMatrix(int classes) {
    this(numbers(classes));
  }

  /**
   * Makes a matrix without samples.
   *
   * @param names the classes' names, in the order of their numbers
   * @throws io.gradus.core.ArgumentException when there is no class
   */
  public ConfusionMatrix(List<String> names) {
    Checks.argument(!names.isEmpty(), "[confusionMatrix] there must be a class");
    this.names = List.copyOf(names);
    this.classes = names.size();
    this.counts = new long[Math.multiplyExact(classes, classes)];
  }

  private static List<String> numbers(int classes) {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < classes; i++) {
      names.add(Integer.toString(i));
    }
    return names;
  }

  /**
   * {@inheritDoc}
   *
   * @throws io.gradus.core.ShapeException when the batch has another number of classes
   */
  @Override
  public void update(Predictions batch) {
    Checks.shape(
        batch.classes() == classes,
        "[confusionMatrix] the batch has %d classes, the matrix %d",
        batch.classes(),
        classes);
    for (int i = 0; i < batch.size(); i++) {
      counts[batch.label(i) * classes + batch.predicted(i)]++;
    }
  }

  /**
   * Adds the counts of another matrix, such as that of another thread or fold.
   *
   * @throws io.gradus.core.ShapeException when it has another number of classes
   */
  public void merge(ConfusionMatrix other) {
    Checks.shape(
        other.classes == classes,
        "[confusionMatrix] cannot merge %d classes into %d",
        other.classes,
        classes);
    for (int i = 0; i < counts.length; i++) {
      counts[i] += other.counts[i];
    }
  }

  @Override
  public void reset() {
    Arrays.fill(counts, 0);
  }

  /** The number of classes. */
  public int classes() {
    return classes;
  }

  /** How many samples of class {@code label} were taken for class {@code predicted}. */
  public long count(int label, int predicted) {
    return counts[checked(label) * classes + checked(predicted)];
  }

  /** The number of samples. */
  public long count() {
    return Arrays.stream(counts).sum();
  }

  /** How many samples truly are of a class. */
  public long support(int cls) {
    return Arrays.stream(counts, checked(cls) * classes, (cls + 1) * classes).sum();
  }

  /** How many samples were taken for a class. */
  public long predictedAs(int cls) {
    long sum = 0;
    for (int label = 0; label < classes; label++) {
      sum += count(label, cls);
    }
    return sum;
  }

  private int checked(int cls) {
    Checks.argument(
        cls >= 0 && cls < classes,
        "[confusionMatrix] class %d is out of range for %d classes",
        cls,
        classes);
    return cls;
  }

  private long correct() {
    long sum = 0;
    for (int c = 0; c < classes; c++) {
      sum += count(c, c);
    }
    return sum;
  }

  /** Whether there was a sample. */
  @Override
  public boolean isDefined() {
    return count() > 0;
  }

  /** The accuracy: the share of samples on the diagonal. */
  @Override
  public double value() {
    checkDefined();
    return (double) correct() / count();
  }

  private void checkDefined() {
    Checks.state(isDefined(), "[confusionMatrix] no value yet: there was no sample");
  }

  /** Of the samples taken for a class, the share that is of it; 0 when none were. */
  public double precision(int cls) {
    return ratio(count(cls, cls), predictedAs(cls));
  }

  /** Of the samples of a class, the share that was taken for it; 0 when there are none. */
  public double recall(int cls) {
    return ratio(count(cls, cls), support(cls));
  }

  /** The harmonic mean of a class's precision and recall; 0 where the class never occurs. */
  public double f1(int cls) {
    return ratio(2 * count(cls, cls), predictedAs(cls) + support(cls));
  }

  private static double ratio(long part, long whole) {
    return whole == 0 ? 0 : (double) part / whole;
  }

  /**
   * Precision over all classes.
   *
   * @throws IllegalStateException when there was no sample
   */
  public double precision(Average average) {
    return average(average, this::precision);
  }

  /**
   * Recall over all classes.
   *
   * @throws IllegalStateException when there was no sample
   */
  public double recall(Average average) {
    return average(average, this::recall);
  }

  /**
   * F1 over all classes.
   *
   * @throws IllegalStateException when there was no sample
   */
  public double f1(Average average) {
    return average(average, this::f1);
  }

  private double average(Average average, IntToDoubleFunction measure) {
    checkDefined();
    // Pooled, every wrong sample is one false positive and one false negative: all three agree.
    if (average == Average.MICRO) {
      return value();
    }
    double sum = 0;
    double total = 0;
    for (int c = 0; c < classes; c++) {
      double weight = support(c);
      if (average == Average.MACRO) {
        weight = support(c) + predictedAs(c) > 0 ? 1 : 0;
      }
      sum += weight * measure.applyAsDouble(c);
      total += weight;
    }
    return sum / total;
  }

  /** An aligned table: a row per true class, a column per predicted one. */
  @Override
  public String toString() {
    int first = "true".length();
    int width = 1;
    for (String name : names) {
      first = Math.max(first, name.length());
      width = Math.max(width, name.length());
    }
    for (long count : counts) {
      width = Math.max(width, Long.toString(count).length());
    }
    StringBuilder out = new StringBuilder(pad("true", -first));
    for (String name : names) {
      out.append("  ").append(pad(name, width));
    }
    for (int label = 0; label < classes; label++) {
      out.append('\n').append(pad(names.get(label), -first));
      for (int c = 0; c < classes; c++) {
        out.append("  ").append(pad(Long.toString(count(label, c)), width));
      }
    }
    return out.toString();
  }

  /** The text filled with spaces: on its left, or on its right when {@code width} is negative. */
  private static String pad(String text, int width) {
    String spaces = " ".repeat(Math.max(0, Math.abs(width) - text.length()));
    return width < 0 ? text + spaces : spaces + text;
  }
}
