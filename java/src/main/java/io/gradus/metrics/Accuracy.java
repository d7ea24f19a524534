package io.gradus.metrics;

/** The share of samples whose true class has the highest score, the first among equals. */
public final class Accuracy implements Metric<Predictions> {
  private final TopKAccuracy top1 = new TopKAccuracy(1);

  /** Makes a metric without samples. */
  public Accuracy() {}

  @Override
  public void update(Predictions batch) {
    top1.update(batch);
  }

  @Override
  public void reset() {
    top1.reset();
  }

  /** The number of samples so far. */
  public long count() {
    return top1.count();
  }

  /** The number of samples so far that were classified correctly. */
  public long correct() {
    return top1.correct();
  }

  @Override
  public boolean isDefined() {
    return top1.isDefined();
  }

  @Override
  public double value() {
    return top1.value();
  }
}
