package io.gradus.metrics;

import java.util.function.ToDoubleFunction;

/**
 * Precision, recall or F1 over all classes as a metric of its own; how they are defined says {@link
 * ConfusionMatrix}.
 */
public final class ClassMetric implements Metric<Predictions> {
  private final ConfusionMatrix matrix;
  private final ToDoubleFunction<ConfusionMatrix> measure;

  private ClassMetric(int classes, ToDoubleFunction<ConfusionMatrix> measure) {
    this.matrix = new ConfusionMatrix(classes);
    this.measure = measure;
  }

  /** Precision over so many classes. */
  public static ClassMetric precision(int classes, Average average) {
    return new ClassMetric(classes, m -> m.precision(average));
  }

  /** Recall over so many classes. */
  public static ClassMetric recall(int classes, Average average) {
    return new ClassMetric(classes, m -> m.recall(average));
  }

  /** F1 over so many classes. */
  public static ClassMetric f1(int classes, Average average) {
    return new ClassMetric(classes, m -> m.f1(average));
  }

  @Override
  public void update(Predictions batch) {
    matrix.update(batch);
  }

  @Override
  public void reset() {
    matrix.reset();
  }

  @Override
  public boolean isDefined() {
    return matrix.isDefined();
  }

  @Override
  public double value() {
    return measure.applyAsDouble(matrix);
  }
}
