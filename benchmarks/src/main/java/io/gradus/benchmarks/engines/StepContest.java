package io.gradus.benchmarks.engines;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Training steps of one workload. All engines start from the same weights, and each trains in the
 * setting that is its best.
 */
final class StepContest extends Contest {
  private static final int LOSSES = 3;
  private static final int TRIAL_RUNS = 4;

  private final Workload workload;
  private final Plan plan;
  private final Path state;

  /**
   * A contest.
   *
   * @param state the file of {@link Engine#writeState}
   * @param folder for the processes' standard error
   */
  StepContest(Workload workload, int threads, Plan plan, Path state, Path folder) {
    super(workload.label() + " step", workload.unit(), threads, plan.rounds(), folder);
    this.workload = workload;
    this.plan = plan;
    this.state = state;
  }

  @Override
  double tolerance() {
    return plan.tolerance() * workload.amplification();
  }

  @Override
  Entrant enter(Engine engine) throws PeerException {
    String setting = bestSetting(engine);
    Child child = start(engine, setting);
    boolean ready = false;
    try {
      Runner runner = new Runner(child, child.ask(openCommand(setting)));
      child.ask("load " + state);
      runner.losses = child.numbers("losses " + LOSSES);
      runner.steps = stepsIn(plan.roundS(), warmUp(child, plan.warmUpS()));
      ready = true;
      return runner;
    } finally {
      if (!ready) {
        child.close();
      }
    }
  }

  private final class Runner implements Entrant {
    private final Child child;
    private final String about;
    private List<Double> losses = List.of();
    private int steps = 1;

    Runner(Child child, String about) {
      this.child = child;
      this.about = about;
    }

    @Override
    public String about() {
      return about;
    }

    @Override
    public double lap() throws PeerException {
      return (double) steps * workload.samples() / child.seconds("run " + steps);
    }

    @Override
    public long peakBytes() throws PeerException {
      return (long) child.number("memory");
    }

    @Override
    public List<Double> losses() {
      return losses;
    }

    @Override
    public void close() {
      child.close();
    }
  }

  private Child start(Engine engine, String setting) throws PeerException {
    return engine.start(threads(), setting, log(engine), plan.patienceS());
  }

  private String openCommand(String setting) {
    return "open " + workload.label() + " " + threads() + " " + setting;
  }

  /**
   * The setting whose fastest short run is the fastest; they alternate, each in its own process.
   */
  private String bestSetting(Engine engine) throws PeerException {
    List<String> settings;
    try (Child child = start(engine, "")) {
      String answer = child.ask("settings " + workload.label() + " " + threads());
      settings = List.of(answer.split(" ", -1));
    }
    return settings.size() == 1 ? settings.get(0) : best(engine, settings);
  }

  private String best(Engine engine, List<String> settings) throws PeerException {
    Map<String, Child> children = new LinkedHashMap<>();
    Map<String, Integer> steps = new HashMap<>();
    String best = settings.get(0);
    double bestS = Double.POSITIVE_INFINITY;
    double share = 1.0 / TRIAL_RUNS;
    try {
      for (String setting : settings) {
        progress(engine.name() + " tries " + setting);
        Child child = start(engine, setting);
        children.put(setting, child);
        child.ask(openCommand(setting));
        child.ask("load " + state);
        double perStep = warmUp(child, plan.warmUpS() * share);
        steps.put(setting, stepsIn(plan.roundS() * share, perStep));
      }
      // An engine whose single step is longer than a trial should be is not tried so often.
      double left = settings.size() * plan.roundS();
      for (int i = 0; i < TRIAL_RUNS && left > 0; i++) {
        for (Map.Entry<String, Child> entry : children.entrySet()) {
          int n = steps.getOrDefault(entry.getKey(), 1);
          double run = entry.getValue().seconds("run " + n);
          left -= run;
          double perStep = run / n;
          if (perStep < bestS) {
            bestS = perStep;
            best = entry.getKey();
          }
        }
      }
    } finally {
      children.values().forEach(Child::close);
    }
    return best;
  }

  /** Trains for a while, in runs that get longer; gives the seconds of a step in the last. */
  private static double warmUp(Child child, double seconds) throws PeerException {
    double passed = 0;
    double perStep = 0;
    for (int steps = 1; passed < seconds; ) {
      double run = child.seconds("run " + steps);
      passed += run;
      perStep = run / steps;
      steps = Math.min(2 * steps, 1 + stepsIn(Math.max(seconds - passed, 0), perStep));
    }
    return perStep;
  }

  private static int stepsIn(double seconds, double perStep) {
    return (int) Math.max(1, Math.round(seconds / perStep));
  }
}
