package io.gradus.benchmarks.steps;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * One workload with one number of threads: every engine has a process, all start from the same
 * weights, and rounds alternate between them, so that whatever else the machine does hits all
 * alike. A process that waits for its turn does nothing.
 */
final class Contest {
  private static final int LOSSES = 3;
  private static final int TRIAL_RUNS = 4;

  private final Workload workload;
  private final int threads;
  private final Plan plan;
  private final Path folder;
  private final Path state;

  /**
   * How long to measure.
   *
   * @param rounds number of rounds
   * @param roundS what a round of one engine should take, in seconds
   * @param warmUpS what an engine trains before the first round, in seconds
   */
  record Plan(int rounds, double roundS, double warmUpS) {}

  /** One engine at work. */
  private static final class Runner {
    final Engine engine;
    final Child child;
    final String about;
    final List<Double> rates = new ArrayList<>();
    List<Double> losses = List.of();
    int steps = 1;

    Runner(Engine engine, Child child, String about) {
      this.engine = engine;
      this.child = child;
      this.about = about;
    }
  }

  /**
   * A contest.
   *
   * @param folder for the state and the workers' standard error
   */
  Contest(Workload workload, int threads, Plan plan, Path folder) {
    this.workload = workload;
    this.threads = threads;
    this.plan = plan;
    this.folder = folder;
    state = folder.resolve(workload.label() + ".arrays");
  }

  /**
   * Measures.
   *
   * @param gradus our own engine
   * @param peers the others by name
   * @return Gradus first, then the peers in the order of their names
   * @throws PeerException when Gradus itself could not be measured
   */
  List<Result> run(Engine gradus, Map<String, Engine> peers)
      throws PeerException, IOException, InterruptedException {
    Engine.writeState(workload, state);
    Map<String, Result> failures = new TreeMap<>();
    List<Runner> runners = new ArrayList<>();
    try {
      Runner ours = open(gradus);
      runners.add(ours);
      for (Engine peer : new TreeMap<>(peers).values()) {
        Runner runner = tryOpen(peer, failures);
        if (runner != null) {
          runners.add(runner);
        }
      }
      for (int round = 0; round < plan.rounds(); round++) {
        measure(runners, ours, failures);
      }
      List<Result> results = new ArrayList<>();
      for (Runner runner : runners) {
        results.add(result(runner, ours));
      }
      results.addAll(failures.values());
      return results;
    } finally {
      runners.forEach(runner -> runner.child.close());
    }
  }

  private @Nullable Runner tryOpen(Engine peer, Map<String, Result> failures) {
    try {
      return open(peer);
    } catch (PeerException e) {
      failures.put(peer.name(), failure(peer, e));
      return null;
    }
  }

  private Result failure(Engine engine, PeerException e) {
    return Result.missing(workload, threads, engine.name(), String.valueOf(e.getMessage()));
  }

  private Runner open(Engine engine) throws PeerException {
    progress(engine.name() + " starts");
    String setting = bestSetting(engine);
    Child child = engine.start(threads, setting, log(engine));
    boolean ready = false;
    try {
      Runner runner = new Runner(engine, child, child.ask(openCommand(setting)));
      child.ask("load " + state);
      runner.losses = numbers(child.ask("losses " + LOSSES));
      progress(engine.name() + " warms up");
      runner.steps = stepsIn(plan.roundS(), warmUp(child, plan.warmUpS()));
      ready = true;
      return runner;
    } finally {
      if (!ready) {
        child.close();
      }
    }
  }

  /**
   * The setting whose fastest short run is the fastest; they alternate, each in its own process.
   */
  private String bestSetting(Engine engine) throws PeerException {
    List<String> settings;
    try (Child child = engine.start(threads, "", log(engine))) {
      String answer = child.ask("settings " + workload.label() + " " + threads);
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
        Child child = engine.start(threads, setting, log(engine));
        children.put(setting, child);
        child.ask(openCommand(setting));
        child.ask("load " + state);
        double perStep = warmUp(child, plan.warmUpS() * share);
        steps.put(setting, stepsIn(plan.roundS() * share, perStep));
      }
      for (int i = 0; i < TRIAL_RUNS; i++) {
        for (Map.Entry<String, Child> entry : children.entrySet()) {
          int n = steps.getOrDefault(entry.getKey(), 1);
          double seconds = number(entry.getValue().ask("run " + n)) / n;
          if (seconds < bestS) {
            bestS = seconds;
            best = entry.getKey();
          }
        }
      }
      return best;
    } finally {
      children.values().forEach(Child::close);
    }
  }

  private String openCommand(String setting) {
    return "open " + workload.label() + " " + threads + " " + setting;
  }

  /** Trains for a while, in runs that get longer; gives the seconds of a step in the last. */
  private static double warmUp(Child child, double seconds) throws PeerException {
    double passed = 0;
    double perStep = 0;
    for (int steps = 1; passed < seconds || steps == 1; ) {
      double run = number(child.ask("run " + steps));
      passed += run;
      perStep = run / steps;
      steps = Math.min(2 * steps, 1 + stepsIn(Math.max(seconds - passed, 0), perStep));
    }
    return perStep;
  }

  private static int stepsIn(double seconds, double perStep) {
    return (int) Math.max(1, Math.round(seconds / perStep));
  }

  /** One round; a peer that fails is taken out. */
  private void measure(List<Runner> runners, Runner ours, Map<String, Result> failures)
      throws PeerException {
    for (Iterator<Runner> it = runners.iterator(); it.hasNext(); ) {
      Runner runner = it.next();
      try {
        double seconds = number(runner.child.ask("run " + runner.steps));
        runner.rates.add(runner.steps * workload.batch() / seconds);
      } catch (PeerException e) {
        if (runner == ours) {
          throw e;
        }
        failures.put(runner.engine.name(), failure(runner.engine, e));
        runner.child.close();
        it.remove();
      }
    }
  }

  private Result result(Runner runner, Runner ours) throws PeerException {
    long peak = (long) number(runner.child.ask("memory"));
    Statistics ratio = null;
    Double difference = null;
    if (runner != ours) {
      List<Double> ratios = new ArrayList<>();
      for (int i = 0; i < runner.rates.size(); i++) {
        ratios.add(ours.rates.get(i) / runner.rates.get(i));
      }
      ratio = Statistics.of(ratios);
      difference = difference(ours.losses, runner.losses);
    }
    String name = runner.engine.name();
    return new Result(workload, threads, name, runner.about, runner.rates, ratio, peak, difference);
  }

  private static double difference(List<Double> ours, List<Double> theirs) {
    double largest = ours.size() == theirs.size() ? 0 : Double.NaN;
    for (int i = 0; i < Math.min(ours.size(), theirs.size()); i++) {
      largest = Math.max(largest, Math.abs(ours.get(i) - theirs.get(i)) / Math.abs(ours.get(i)));
    }
    return largest;
  }

  private static double number(String answer) throws PeerException {
    return numbers(answer).get(0);
  }

  private static List<Double> numbers(String answer) throws PeerException {
    try {
      List<Double> numbers = new ArrayList<>();
      for (String word : answer.split(" ", -1)) {
        numbers.add(Double.parseDouble(word));
      }
      return numbers;
    } catch (NumberFormatException e) {
      throw new PeerException("its worker answered '" + answer + "'");
    }
  }

  private Path log(Engine engine) {
    return folder.resolve(workload.label() + "-" + threads + "-" + engine.name() + ".log");
  }

  private void progress(String what) {
    System.err.printf("%s, threads %d: %s%n", workload.label(), threads, what);
  }
}
