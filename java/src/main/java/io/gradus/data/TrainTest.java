package io.gradus.data;

import io.gradus.core.Checks;

/**
 * A data set to learn from and one to measure on, of the same sample shape and classes.
 *
 * @param train the samples to learn from
 * @param test the samples to measure on
 */
public record TrainTest(Dataset train, Dataset test) {
  /**
   * Pairs two data sets.
   *
   * @throws io.gradus.core.ShapeException when their samples differ in shape
   * @throws io.gradus.core.ArgumentException when their classes differ
   */
  public TrainTest {
    Checks.shape(
        train.sampleShape().equals(test.sampleShape()),
        "[dataset] samples of %s are %s but those of %s are %s",
        train.name(),
        train.sampleShape(),
        test.name(),
        test.sampleShape());
    Checks.argument(
        train.classNames().equals(test.classNames()),
        "[dataset] %s has the classes %s but %s has %s",
        train.name(),
        train.classNames(),
        test.name(),
        test.classNames());
  }
}
