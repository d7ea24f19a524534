package io.gradus.benchmarks.engines;

import java.io.IOException;
import java.util.List;

/** A worker's process that behaves as its argument says. */
final class FakePeer {
  static final String GOOD = "good";
  static final String DIES = "dies";
  static final String HANGS = "hangs";
  static final String GARBAGE = "garbage";
  static final String REFUSES = "refuses";
  static final String DIFFERS = "differs";
  static final String DIES_LATE = "dies-late";
  static final String BROKEN_CLOCK = "broken-clock";

  /** Steps of a run: fewer than a warm-up and three rounds have at least. */
  private static final int LATE = 3;

  private FakePeer() {}

  @SuppressWarnings("SystemOut")
  public static void main(String[] args) throws Exception {
    String mode = args[0];
    switch (mode) {
      case DIES -> throw new IllegalStateException("it was not to be");
      case HANGS -> Thread.sleep(60_000);
      case GARBAGE, BROKEN_CLOCK -> {
        while (System.in.read() >= 0) {
          // An answer for every line.
          if (System.in.available() == 0) {
            System.out.println(mode.equals(GARBAGE) ? "hello, world" : "0");
          }
        }
      }
      default -> serve(mode);
    }
  }

  private static void serve(String mode) throws IOException {
    Worker.serve(
        new Training.Factory() {
          @Override
          public Training open(Workload workload, int threads, String setting) {
            if (mode.equals(REFUSES)) {
              throw new UnsupportedOperationException("not on this machine\nat all");
            }
            return new FakeTraining(mode);
          }

          @Override
          public List<String> settings(Workload workload, int threads) {
            return List.of("default");
          }

          @Override
          public Training.TinyOp tinyOp(int threads) {
            return new Training.TinyOp("a nap", FakePeer::nap);
          }
        });
  }

  private static void nap() {
    try {
      Thread.sleep(1);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static final class FakeTraining implements Training {
    private final String mode;
    private int steps;
    private int timed;

    FakeTraining(String mode) {
      this.mode = mode;
    }

    @Override
    public String about() {
      return "a fake";
    }

    @Override
    public void load(List<Arrays.Named> state) {
      steps = 0;
    }

    @Override
    public double step(boolean dropout) {
      steps++;
      timed += dropout ? 1 : 0;
      if (mode.equals(DIES_LATE) && timed > LATE) {
        System.exit(3);
      }
      nap();
      return (mode.equals(DIFFERS) ? 3 : 2) / (double) steps;
    }
  }
}
