package io.gradus.benchmarks.engines;

/**
 * How long to measure.
 *
 * @param rounds number of rounds
 * @param roundS what a round of one engine should take, in seconds
 * @param warmUpS what an engine trains before the first round, in seconds
 * @param patienceS how long a process may stay silent, in seconds
 */
record Plan(int rounds, double roundS, double warmUpS, int patienceS) {
  static final Plan FULL = new Plan(7, 3, 10, 300);
  static final Plan QUICK = new Plan(3, 0.5, 1, 120);

  Plan withRounds(int n) {
    return new Plan(n, roundS, warmUpS, patienceS);
  }
}
