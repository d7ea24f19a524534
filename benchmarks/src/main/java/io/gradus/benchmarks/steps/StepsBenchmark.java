package io.gradus.benchmarks.steps;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The benchmark of training steps: {@code ./gradus bench steps}. */
@Command(
    name = "gradus bench steps",
    description = "Measures whole training steps, of Gradus and of other engines beside it.",
    sortOptions = false)
public final class StepsBenchmark implements Callable<Integer> {
  private static final Contest.Plan FULL = new Contest.Plan(7, 3, 10);
  private static final Contest.Plan QUICK = new Contest.Plan(3, 0.5, 1);

  @Spec private CommandLine.Model.CommandSpec spec = CommandLine.Model.CommandSpec.create();

  @Option(names = "--quick", description = "Few and short rounds: a trial, not a measurement.")
  private boolean quick;

  @Option(
      names = "--peers",
      paramLabel = "NAME",
      split = ",",
      description =
          "Other engines to measure: torch. The first time their libraries are downloaded.")
  private List<String> peers = List.of();

  @Option(
      names = "--workloads",
      paramLabel = "NAME",
      split = ",",
      description = "Some of mlp, cnn, resnet20 (default: all).")
  private List<String> workloads = List.of("mlp", "cnn", "resnet20");

  @Option(
      names = "--threads",
      paramLabel = "N",
      split = ",",
      description =
          "Threads of the CPU, several numbers one after the other (default: one per core).")
  private List<Integer> threads = List.of(Runtime.getRuntime().availableProcessors());

  @Option(names = "--rounds", paramLabel = "R", description = "Rounds (default: 7; quick: 3).")
  private @Nullable Integer rounds;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "Folder for steps.md, steps.json and logs (default: ${DEFAULT-VALUE}).")
  private Path out = Path.of("out", "bench-steps");

  @SuppressWarnings("UnusedVariable") // picocli acts on it
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  private boolean help;

  /** For picocli. */
  public StepsBenchmark() {}

  /** Measures and ends the JVM with 0 done, 1 failed or losses that disagree, 2 bad use. */
  public static void main(String[] args) {
    CommandLine line = new CommandLine(new StepsBenchmark());
    line.setExecutionExceptionHandler(
        (e, command, parsed) -> {
          System.err.println("gradus bench steps: " + e.getMessage());
          return CommandLine.ExitCode.SOFTWARE;
        });
    System.exit(line.execute(args));
  }

  @Override
  public Integer call() throws PeerException, IOException, InterruptedException {
    require(threads.stream().allMatch(n -> n >= 1), "--threads must be at least 1");
    Contest.Plan plan = plan();
    List<Workload> chosen = workloads();
    String date = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    String loadBefore = Machine.load();
    Files.createDirectories(out);

    Map<String, Engine> found = new TreeMap<>();
    Map<String, String> missing = new TreeMap<>();
    find(found, missing);

    List<Result> results = new ArrayList<>();
    for (Workload workload : chosen) {
      for (int n : threads) {
        results.addAll(new Contest(workload, n, plan, out).run(Engine.gradus(), found));
        missing.forEach((name, why) -> results.add(Result.missing(workload, n, name, why)));
      }
    }

    Report report =
        new Report(date, command(), Machine.here(), loadBefore, Machine.load(), results);
    report.write(out);
    System.out.print(report.table());
    System.out.print(report.checks());
    System.out.println("written to " + out.resolve("steps.md") + " and steps.json");
    return results.stream().anyMatch(Result::disagrees) ? CommandLine.ExitCode.SOFTWARE : 0;
  }

  private Contest.Plan plan() {
    Contest.Plan plan = quick ? QUICK : FULL;
    Integer asked = rounds;
    if (asked == null) {
      return plan;
    }
    require(asked >= 1, "--rounds must be at least 1");
    return new Contest.Plan(asked, plan.roundS(), plan.warmUpS());
  }

  private List<Workload> workloads() {
    List<Workload> chosen = new ArrayList<>();
    for (String label : workloads) {
      try {
        chosen.add(Workload.parse(label));
      } catch (IllegalArgumentException e) {
        throw badUse("there is no workload '" + label + "'; there are mlp, cnn, resnet20");
      }
    }
    return chosen;
  }

  private void find(Map<String, Engine> found, Map<String, String> missing) {
    // The launcher says where the peers are.
    String told = System.getenv("GRADUS_PEERS");
    Path folder = Path.of(told == null ? "benchmarks/peers" : told);
    for (String name : peers) {
      require(name.matches("[a-z0-9]+"), "--peers: '" + name + "' is not the name of a peer");
      try {
        found.put(name, Engine.peer(folder, name));
      } catch (PeerException e) {
        missing.put(name, String.valueOf(e.getMessage()));
      }
    }
  }

  private String command() {
    return "./gradus bench steps "
        + String.join(" ", spec.commandLine().getParseResult().originalArgs());
  }

  private void require(boolean ok, String message) {
    if (!ok) {
      throw badUse(message);
    }
  }

  private ParameterException badUse(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
