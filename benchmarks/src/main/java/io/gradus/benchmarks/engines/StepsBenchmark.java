package io.gradus.benchmarks.engines;

import io.gradus.benchmarks.report.RunOptions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The benchmark of training steps: {@code ./gradus bench steps}. */
@Command(
    name = "gradus bench steps",
    description = "Measures whole training steps, of Gradus and of other engines beside it.",
    sortOptions = false)
public final class StepsBenchmark implements Callable<Integer> {
  @Mixin private RunOptions run = new RunOptions();
  @Mixin private EngineOptions engines = new EngineOptions();

  @Option(
      names = "--workloads",
      paramLabel = "NAME",
      split = ",",
      description = "Some of mlp, cnn, resnet20 (default: all).")
  private List<String> workloads = List.of("mlp", "cnn", "resnet20");

  @Option(
      names = "--device",
      paramLabel = "NAME",
      split = ",",
      description = "What Gradus computes on; the first counts beside others (default: cpu).")
  private List<String> devices = List.of("cpu");

  /** For picocli. */
  public StepsBenchmark() {}

  /** Gives 0 when done, 1 when a process of Gradus failed or losses disagree, 2 for bad use. */
  @Override
  public Integer call() throws PeerException, IOException {
    List<Workload> chosen = workloads();
    EngineRun measurement = new EngineRun(run, engines, devices);
    measurement.steps(chosen);
    run.publish("steps", "Training steps", List.of(measurement.section()));
    return measurement.disagrees() ? CommandLine.ExitCode.SOFTWARE : CommandLine.ExitCode.OK;
  }

  private List<Workload> workloads() {
    List<Workload> chosen = new ArrayList<>();
    for (String label : workloads) {
      try {
        chosen.add(Workload.parse(label));
      } catch (IllegalArgumentException e) {
        run.require(false, "there is no workload '" + label + "'; there are mlp, cnn, resnet20");
      }
    }
    return chosen;
  }
}
