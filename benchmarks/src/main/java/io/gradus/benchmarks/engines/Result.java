package io.gradus.benchmarks.engines;

import io.gradus.benchmarks.report.Statistics;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What was measured of one engine.
 *
 * @param what what it did
 * @param unit what was measured of it
 * @param threads threads of the CPU
 * @param engine the engine's name
 * @param about version and setting, or why the engine could not be measured
 * @param values by round; empty where it could not be measured
 * @param advantage how many times better Gradus was in the same round; null for Gradus itself and
 *     where nothing was measured
 * @param peakBytes the most memory that its process has had; 0 where that was not asked for
 * @param lossDifference the largest relative difference of its first losses to those of Gradus;
 *     null where there is no advantage, or there are no losses
 * @param tolerance the largest such difference that is put down to rounding
 */
record Result(
    String what,
    Unit unit,
    int threads,
    String engine,
    String about,
    List<Double> values,
    @Nullable Statistics advantage,
    long peakBytes,
    @Nullable Double lossDifference,
    double tolerance) {
  /** The largest relative difference of float32 losses that is put down to rounding. */
  static final double TOLERANCE = 1e-3;

  /** With the tolerance of float32. */
  Result(
      String what,
      Unit unit,
      int threads,
      String engine,
      String about,
      List<Double> values,
      @Nullable Statistics advantage,
      long peakBytes,
      @Nullable Double lossDifference) {
    this(
        what,
        unit,
        threads,
        engine,
        about,
        values,
        advantage,
        peakBytes,
        lossDifference,
        TOLERANCE);
  }

  /** The line of an engine that could not be measured. */
  static Result missing(String what, Unit unit, int threads, String engine, String reason) {
    return new Result(what, unit, threads, engine, reason, List.of(), null, 0, null);
  }

  /** How many times better ours were, round by round; both have at least one. */
  static Statistics advantage(Unit unit, List<Double> ours, List<Double> theirs) {
    List<Double> advantages = new ArrayList<>();
    for (int i = 0; i < Math.min(ours.size(), theirs.size()); i++) {
      advantages.add(unit.advantage(ours.get(i), theirs.get(i)));
    }
    return Statistics.of(advantages);
  }

  /**
   * The largest difference of losses, relative to the largest of ours: few images are soon known by
   * heart, and what is left of the loss then is rounding. Not a number where their counts differ.
   */
  static double difference(List<Double> ours, List<Double> theirs) {
    double largest = ours.size() == theirs.size() ? 0 : Double.NaN;
    double scale = ours.stream().mapToDouble(Math::abs).max().orElse(1);
    for (int i = 0; i < Math.min(ours.size(), theirs.size()); i++) {
      largest = Math.max(largest, Math.abs(ours.get(i) - theirs.get(i)) / scale);
    }
    return largest;
  }

  /** Whether there are figures. */
  boolean measured() {
    return !values.isEmpty();
  }

  /** The middle value; not a number where there is none. */
  double median() {
    return measured() ? Statistics.of(values).median() : Double.NaN;
  }

  /** Whether it computed something else than Gradus. */
  boolean disagrees() {
    Double difference = lossDifference;
    // The negation also takes what is not a number.
    return difference != null && !(difference <= tolerance);
  }
}
