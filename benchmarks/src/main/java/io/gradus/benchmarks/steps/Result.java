package io.gradus.benchmarks.steps;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What was measured of one engine in one workload.
 *
 * @param workload what was trained
 * @param threads threads of the CPU
 * @param engine the engine's name
 * @param about version and setting, or why the engine could not be measured
 * @param imagesPerSecond by round; empty where it could not be measured
 * @param ratio what Gradus did in the same round, divided by this engine; null for Gradus itself
 *     and where nothing was measured
 * @param peakBytes the most memory that its process has had
 * @param lossDifference the largest relative difference of its first losses to those of Gradus;
 *     null as for ratio
 */
record Result(
    Workload workload,
    int threads,
    String engine,
    String about,
    List<Double> imagesPerSecond,
    @Nullable Statistics ratio,
    long peakBytes,
    @Nullable Double lossDifference) {
  /** The largest relative difference of losses that is put down to rounding. */
  static final double TOLERANCE = 1e-3;

  /** The line of an engine that could not be measured. */
  static Result missing(Workload workload, int threads, String engine, String reason) {
    return new Result(workload, threads, engine, reason, List.of(), null, 0, null);
  }

  /** Whether there are figures. */
  boolean measured() {
    return !imagesPerSecond.isEmpty();
  }

  /** Whether it computed something else than Gradus. */
  boolean disagrees() {
    Double difference = lossDifference;
    // The negation also takes what is not a number.
    return difference != null && !(difference <= TOLERANCE);
  }
}
