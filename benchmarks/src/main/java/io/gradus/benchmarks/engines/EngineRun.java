package io.gradus.benchmarks.engines;

import io.gradus.benchmarks.report.RunOptions;
import io.gradus.benchmarks.report.Section;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Measures Gradus and its peers, one contest after another. */
public final class EngineRun {
  private static final String NAME = "[a-z0-9]+";

  private final RunOptions run;
  private final Plan plan;
  private final Path folder;
  private final Engine ours;
  private final List<Engine> others;
  private final Peers peers;
  private final List<Result> results = new ArrayList<>();

  /**
   * A run.
   *
   * @param devices what Gradus computes on: the first is compared with everything else
   */
  public EngineRun(RunOptions run, EngineOptions options, List<String> devices) throws IOException {
    run.require(!devices.isEmpty(), "--device must name a device");
    run.require(
        options.peers().stream().allMatch(name -> name.matches(NAME)),
        "--peers: " + options.peers() + " are not names of peers");
    this.run = run;
    Plan length = run.quick() ? Plan.QUICK : Plan.FULL;
    plan = length.withRounds(run.rounds(Plan.FULL.rounds(), Plan.QUICK.rounds()));
    folder = Files.createDirectories(run.out().resolve("work")).toAbsolutePath();
    ours = Engine.gradus(devices.get(0));
    peers = Peers.find(options.peers());
    others = new ArrayList<>();
    devices.stream().skip(1).forEach(device -> others.add(Engine.gradus(device)));
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
            Unit.IMAGES_PER_SECOND,
            threads);
      }
    }
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
