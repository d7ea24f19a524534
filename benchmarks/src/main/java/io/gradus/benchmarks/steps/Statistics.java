package io.gradus.benchmarks.steps;

import java.util.List;

/**
 * The middle and the ends of a few measurements.
 *
 * @param median the middle one
 * @param min the smallest
 * @param max the largest
 */
record Statistics(double median, double min, double max) {
  /** Of at least one value. */
  static Statistics of(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    int n = sorted.size();
    double median = (sorted.get((n - 1) / 2) + sorted.get(n / 2)) / 2;
    return new Statistics(median, sorted.get(0), sorted.get(n - 1));
  }
}
