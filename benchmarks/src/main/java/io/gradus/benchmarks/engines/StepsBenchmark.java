package io.gradus.benchmarks.engines;

import io.gradus.benchmarks.report.RunOptions;
import io.gradus.benchmarks.report.Section;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.IntFunction;
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
      description =
          "Some of mlp, cnn, resnet20 (default: these), for GPUs resnet18, resnet50, gpt, gpt2, and"
              + " to try them anywhere tiny-resnet18, tiny-resnet50, tiny-gpt.")
  private List<String> workloads = List.of("mlp", "cnn", "resnet20");

  @Option(
      names = "--device",
      paramLabel = "NAME",
      split = ",",
      description = "What Gradus computes on; the first counts beside others (default: cpu).")
  private List<String> devices = List.of("cpu");

  @Option(
      names = "--precision",
      paramLabel = "NAME",
      description = "Products in float32, tf32 or bf16 (default: ${DEFAULT-VALUE}).")
  private String precision = "float32";

  @Option(names = "--capture", description = "Also measures captured steps, and compares them.")
  private boolean capture;

  @Option(
      names = "--profile",
      description = "Also says which operations the time of Gradus' eager steps goes to.")
  private boolean profile;

  private final IntFunction<Peak> peaks;

  /**
   * The command.
   *
   * @param peaks measures the processor's limits with a number of threads
   */
  public StepsBenchmark(IntFunction<Peak> peaks) {
    this.peaks = peaks;
  }

  /** Gives 0 when done, 1 when a process of Gradus failed or losses disagree, 2 for bad use. */
  @Override
  public Integer call() throws PeerException, IOException {
    run.requireKnown("--workloads", workloads, Workload.labels());
    run.requireKnown("--precision", List.of(precision), List.of("float32", "tf32", "bf16"));
    engines.check(run, false);
    List<Workload> chosen = workloads.stream().map(Workload::parse).toList();
    EngineRun measurement = new EngineRun(run, engines, devices, precision, capture);
    measurement.steps(chosen);
    List<Section> sections = new ArrayList<>(List.of(measurement.section()));
    if (profile) {
      measurement.profile(chosen, peaks);
      sections.add(measurement.profiles());
    }
    run.publish("steps", "Training steps", sections);
    return measurement.disagrees() ? CommandLine.ExitCode.SOFTWARE : CommandLine.ExitCode.OK;
  }
}
