package io.gradus.benchmarks.engines;

import io.gradus.benchmarks.report.RunOptions;
import io.gradus.benchmarks.report.Section;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;

/** Measures Gradus and its peers, one contest after another. */
public final class EngineRun {
  /** Relative differences of losses after three steps that are put down to rounding. */
  private static final Map<String, Double> TOLERANCES = Map.of("tf32", 1e-2, "bf16", 5e-2);

  /** Of devices that are not the processor. */
  private static final Peak UNKNOWN = new Peak(Double.NaN, Double.NaN, "unknown");

  private final RunOptions run;
  private final Plan plan;
  private final Path folder;
  private final Engine ours;
  private final List<Engine> others;
  private final Peers peers;
  private final List<Result> results = new ArrayList<>();
  private final List<ProfileSection.Measured> profiles = new ArrayList<>();
  private final List<Engine> eager = new ArrayList<>();

  /**
   * A run.
   *
   * @param devices what Gradus computes on: the first is compared with everything else
   */
  public EngineRun(RunOptions run, EngineOptions options, List<String> devices) throws IOException {
    this(run, options, devices, "float32", false);
  }

  /**
   * The same with products in a precision.
   *
   * @param precision of {@code float32, tf32, bf16}
   * @param capture whether captured steps are measured too, before those that are not
   */
  EngineRun(
      RunOptions run,
      EngineOptions options,
      List<String> devices,
      String precision,
      boolean capture)
      throws IOException {
    run.require(!devices.isEmpty(), "--device must name a device");
    this.run = run;
    Plan length = run.quick() ? Plan.QUICK : Plan.FULL;
    Plan rounds = length.withRounds(run.rounds(Plan.FULL.rounds(), Plan.QUICK.rounds()));
    Plan exact = rounds.withTolerance(TOLERANCES.getOrDefault(precision, Result.TOLERANCE));
    plan = devices.get(0).startsWith("cuda") ? exact.forGpu() : exact;
    folder = Files.createDirectories(run.out().resolve("work")).toAbsolutePath();
    List<Engine> own = new ArrayList<>();
    for (String device : devices) {
      for (boolean captured : capture ? new boolean[] {true, false} : new boolean[] {false}) {
        own.add(Engine.gradus(device, precision, captured));
      }
    }
    for (String device : devices) {
      eager.add(Engine.gradus(device, precision, false));
    }
    ours = own.get(0);
    others = new ArrayList<>(own.subList(1, own.size()));
    List<String> java = new ArrayList<>();
    for (String name : options.peers()) {
      if (PythonWorker.isNamed(name)) {
        others.add(
            new Engine(name, PythonWorker.command(folder, name, precision), List.of(), false));
      } else {
        java.add(name);
      }
    }
    peers = Peers.find(java);
    others.addAll(peers.found());
  }

  /** Training steps, for every number of threads. */
  public void steps(List<Workload> workloads) throws PeerException, IOException {
    for (Workload workload : workloads) {
      Path state = state(workload);
      for (int threads : run.threads()) {
        contest(
            new StepContest(workload, threads, plan, state, folder),
            workload.label() + " step",
            workload.unit(),
            threads);
      }
    }
  }

  /**
   * Where the time of eager steps goes, on every device and for every number of threads.
   *
   * @param peaks the processor's limits with a number of threads
   */
  void profile(List<Workload> workloads, IntFunction<Peak> peaks)
      throws PeerException, IOException {
    for (int threads : run.threads()) {
      Peak before = peaks.apply(threads);
      List<ProfileSection.Measured> measured = new ArrayList<>();
      for (Workload workload : workloads) {
        Path state = state(workload);
        for (Engine engine : eager) {
          String what = workload.label() + " " + engine.name();
          System.err.println("profile: " + what + ", threads " + threads);
          Path file = folder.resolve("profile-" + what.replaceAll("[^a-z0-9]", "-") + ".csv");
          StepProfile profile = engine.profile(workload, threads, state, plan, file);
          Peak peak = engine.name().equals(Engine.GRADUS) ? before : UNKNOWN;
          measured.add(new ProfileSection.Measured(what, threads, profile, peak));
        }
      }
      Peak after = peaks.apply(threads);
      measured.forEach(m -> profiles.add(m.peak().equals(before) ? m.with(before.best(after)) : m));
    }
  }

  /** What {@link #profile} found. */
  Section profiles() {
    return new ProfileSection(profiles);
  }

  /** Tiny operations, cold starts and downloads, with the last number of threads. */
  public void rest() throws PeerException, IOException {
    int threads = run.threads().get(run.threads().size() - 1);
    Path state = state(StartContest.workload());
    contest(new TinyContest(threads, plan, folder), "tiny op", Unit.NANOSECONDS, threads);
    contest(new StartContest(threads, plan, state, folder), "first step", Unit.SECONDS, threads);
    results.addAll(Downloads.measure(threads, ours, peers.found()));
    results.addAll(peers.missing(Downloads.WHAT, Unit.MEGABYTES, threads));
  }

  private void contest(Contest contest, String what, Unit unit, int threads) throws PeerException {
    results.addAll(contest.run(ours, others));
    results.addAll(peers.missing(what, unit, threads));
  }

  private Path state(Workload workload) throws PeerException, IOException {
    Path state = folder.resolve(workload.label() + ".arrays");
    Engine.writeState(workload, state);
    return state;
  }

  /** What was measured. */
  public Section section() {
    return new Comparison(results);
  }

  /** Whether an engine computed something else than Gradus. */
  public boolean disagrees() {
    return results.stream().anyMatch(Result::disagrees);
  }
}
