package io.gradus.benchmarks.engines;

import java.nio.file.Path;

/**
 * From the start of a virtual machine to the end of the first training step: what a user waits for.
 * A start before the first round lets every engine unpack its native libraries, which is done once.
 */
final class StartContest extends Contest {
  private static final Workload WORKLOAD = Workload.MLP;

  private final Plan plan;
  private final Path state;

  /**
   * A contest.
   *
   * @param state the file of {@link Engine#writeState} for the MLP
   * @param folder for the processes' standard error
   */
  StartContest(int threads, Plan plan, Path state, Path folder) {
    super("first step", Unit.SECONDS, threads, plan.rounds(), folder);
    this.plan = plan;
    this.state = state;
  }

  /** The workload whose state is wanted. */
  static Workload workload() {
    return WORKLOAD;
  }

  @Override
  Entrant enter(Engine engine) throws PeerException {
    String setting;
    try (Child child = engine.start(threads(), "", log(engine), plan.patienceS())) {
      setting = child.ask("settings " + WORKLOAD.label() + " " + threads()).split(" ", 2)[0];
    }
    Starter starter = new Starter(engine, setting);
    starter.lap();
    return starter;
  }

  private final class Starter implements Entrant {
    private final Engine engine;
    private final String setting;
    private String about = "";

    Starter(Engine engine, String setting) {
      this.engine = engine;
      this.setting = setting;
    }

    @Override
    public String about() {
      return about;
    }

    @Override
    public double lap() throws PeerException {
      long began = System.nanoTime();
      try (Child child = engine.start(threads(), setting, log(engine), plan.patienceS())) {
        about = child.ask("open " + WORKLOAD.label() + " " + threads() + " " + setting);
        child.ask("load " + state);
        child.seconds("run 1");
        return (System.nanoTime() - began) * 1e-9;
      }
    }

    @Override
    public void close() {
      // Every lap has ended its own process.
    }
  }
}
