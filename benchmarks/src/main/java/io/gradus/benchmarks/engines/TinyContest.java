package io.gradus.benchmarks.engines;

import java.nio.file.Path;

/**
 * What an operation costs whose arithmetic costs nothing: the sum of two tensors of one element.
 */
final class TinyContest extends Contest {
  private static final int FIRST = 100;
  private static final int MOST = 1_000_000_000;

  private final Plan plan;

  TinyContest(int threads, Plan plan, Path folder) {
    super("tiny op", Unit.NANOSECONDS, threads, plan.rounds(), folder);
    this.plan = plan;
  }

  @Override
  Entrant enter(Engine engine) throws PeerException {
    Child child = engine.start(threads(), "", log(engine), plan.patienceS());
    boolean ready = false;
    try {
      String about = child.ask("tiny " + threads());
      // Where the clock is too coarse, or the compiler takes it all away, the count is limited.
      long n = FIRST;
      double seconds = 0;
      for (double passed = 0; passed < plan.warmUpS() / 2 && n < MOST; passed += seconds) {
        seconds = child.seconds("repeat " + n);
        n *= 2;
      }
      double rate = n / 2.0 / seconds;
      long laps = (long) Math.max(1, Math.min(MOST, rate * plan.roundS() / 2));
      ready = true;
      return new Entrant() {
        @Override
        public String about() {
          return about;
        }

        @Override
        public double lap() throws PeerException {
          return child.seconds("repeat " + laps) / laps * 1e9;
        }

        @Override
        public void close() {
          child.close();
        }
      };
    } finally {
      if (!ready) {
        child.close();
      }
    }
  }
}
