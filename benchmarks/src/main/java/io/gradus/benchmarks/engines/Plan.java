package io.gradus.benchmarks.engines;

/**
 * How long to measure.
 *
 * @param rounds number of rounds
 * @param roundS what a round of one engine should take, in seconds
 * @param warmUpS what an engine trains before the first round, in seconds
 * @param patienceS how long a process may stay silent, in seconds
 * @param tolerance the largest relative difference of losses that is put down to rounding
 */
record Plan(int rounds, double roundS, double warmUpS, int patienceS, double tolerance) {
  static final Plan FULL = new Plan(7, 3, 10, 300, Result.TOLERANCE);

  /** Virtual machines compile the step of a small network in the first seconds. */
  static final Plan QUICK = new Plan(3, 0.5, 3, 120, Result.TOLERANCE);

  Plan withRounds(int n) {
    return new Plan(n, roundS, warmUpS, patienceS, tolerance);
  }

  /** GPUs' clocks settle in a second, and compilers are silent for minutes. */
  Plan forGpu() {
    return new Plan(rounds, Math.min(roundS, 0.5), Math.min(warmUpS, 2), 300, tolerance);
  }

  Plan withTolerance(double value) {
    return new Plan(rounds, roundS, warmUpS, patienceS, value);
  }
}
