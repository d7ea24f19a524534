package io.gradus.benchmarks.kernels;

import io.gradus.benchmarks.report.Statistics;
import java.util.List;

/**
 * What was measured of a kernel.
 *
 * @param device what it ran on
 * @param kernel what ran
 * @param limits what the device can do at most
 * @param seconds of one call, by round; empty where it failed
 * @param problem why it failed, or empty
 */
record KernelResult(
    String device, KernelCase kernel, Limits limits, List<Double> seconds, String problem) {
  /** Whether there are figures. */
  boolean measured() {
    return !seconds.isEmpty();
  }

  private double median() {
    return Statistics.of(seconds).median();
  }

  /** Microseconds of a call. */
  double micros() {
    return median() * 1e6;
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
    return limits.seconds(kernel) / median();
  }
}
