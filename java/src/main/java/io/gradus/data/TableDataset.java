package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.List;

/** Rows of numbers with a class each. */
public final class TableDataset implements Dataset {
  private final String name;
  private final List<String> featureNames;
  private final List<String> classNames;
  private final float[] values;
  private final int[] labels;

  /**
   * Wraps values and labels without copying them; the caller no longer changes them.
   *
   * @param name a short name for messages
   * @param featureNames names of the columns
   * @param classNames names of the classes
   * @param values {@code [N, F]} in row-major order
   * @param labels class of each row
   * @throws io.gradus.core.ShapeException when the values are not as many as names and labels
   *     demand
   * @throws io.gradus.core.ArgumentException when a label is out of range
   */
  public TableDataset(
      String name,
      List<String> featureNames,
      List<String> classNames,
      float[] values,
      int[] labels) {
    Checks.shape(
        !featureNames.isEmpty() && values.length == (long) labels.length * featureNames.size(),
        "[dataset] %s has %d values for %d rows of %d features",
        name,
        values.length,
        labels.length,
        featureNames.size());
    Labels.check(name, labels, classNames.size());
    this.name = name;
    this.featureNames = List.copyOf(featureNames);
    this.classNames = List.copyOf(classNames);
    this.values = values;
    this.labels = labels;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public int size() {
    return labels.length;
  }

  @Override
  public Shape sampleShape() {
    return Shape.of(featureNames.size());
  }

  @Override
  public List<String> classNames() {
    return classNames;
  }

  /** Names of the columns, in the order of the features. */
  public List<String> featureNames() {
    return featureNames;
  }

  @Override
  public int label(int index) {
    return labels[index];
  }

  @Override
  public void read(int index, float[] out, int at) {
    int features = featureNames.size();
    System.arraycopy(values, Math.multiplyExact(index, features), out, at, features);
  }
}
