package io.gradus.benchmarks.kernels;

import io.gradus.benchmarks.report.Statistics;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What was measured of a kernel.
 *
 * @param device what it ran on
 * @param kernel what ran
 * @param limits what the device can do at most
 * @param seconds of one call, by round; empty where it failed
 * @param peers the same of other engines, by name
 * @param problem why it failed, or empty
 */
record KernelResult(
    String device,
    KernelCase kernel,
    Limits limits,
    List<Double> seconds,
    Map<String, List<Double>> peers,
    String problem) {
  /** Of a kernel without peers. */
  KernelResult(
      String device, KernelCase kernel, Limits limits, List<Double> seconds, String problem) {
    this(device, kernel, limits, seconds, Map.of(), problem);
  }

  /** Whether there are figures. */
  boolean measured() {
    return !seconds.isEmpty();
  }

  double median() {
    return Statistics.of(seconds).median();
  }

  /** Microseconds of a call. */
  double micros() {
    return median() * 1e6;
  }

  /** How far the slowest round is from the fastest, of the median. */
  double spread() {
    Statistics all = Statistics.of(seconds);
    return (all.max() - all.min()) / all.median();
  }

  /** Billions of operations a second. */
  double gflops() {
    return kernel.flops() / median() * 1e-9;
  }

  /** Billions of bytes a second that had to be moved. */
  double gigabytes() {
    return kernel.bytes() / median() * 1e-9;
  }

  /** The share of what the device can do with such a kernel; not a number where unknown. */
  double share() {
    return measured() ? limits.seconds(kernel) / median() : Double.NaN;
  }

  /** A peer's time over ours, by round; null where one of them was not measured. */
  @Nullable Statistics ratio(String peer) {
    List<Double> theirs = peers.getOrDefault(peer, List.of());
    List<Double> ratios = new ArrayList<>();
    for (int i = 0; i < Math.min(seconds.size(), theirs.size()); i++) {
      ratios.add(theirs.get(i) / seconds.get(i));
    }
    return ratios.isEmpty() ? null : Statistics.of(ratios);
  }
}
