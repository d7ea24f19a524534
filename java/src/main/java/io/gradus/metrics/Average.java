package io.gradus.metrics;

/** How a measure of single classes becomes one number. */
public enum Average {
  /**
   * The plain mean over the classes that occur among labels or predictions; a class in neither says
   * nothing about the model and is left out.
   */
  MACRO,
  /** The measure of all decisions pooled; for one label per sample it equals accuracy. */
  MICRO,
  /** The mean over classes, weighted by how many samples truly are of each. */
  WEIGHTED
}
