package io.gradus.benchmarks.kernels;

import io.gradus.benchmarks.report.RunOptions;
import io.gradus.core.GradusException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The benchmark of single kernels: {@code ./gradus bench kernels}. */
@Command(
    name = "gradus bench kernels",
    description =
        "Measures single kernels on every device, beside what the machine can do at most.",
    sortOptions = false)
public final class KernelsBenchmark implements Callable<Integer> {
  @Mixin private RunOptions run = new RunOptions();

  @Option(
      names = "--device",
      paramLabel = "NAME",
      split = ",",
      description = "Devices: cpu, reference, cuda, emulated (default: all that can be used).")
  private List<String> devices = List.of();

  @Option(
      names = "--groups",
      paramLabel = "NAME",
      split = ",",
      description = "Groups of operations, such as matmul, conv, norm (default: all).")
  private List<String> groups = List.of();

  @Option(
      names = "--peers",
      paramLabel = "NAME",
      split = ",",
      description =
          "Others beside GPUs: pytorch, pytorch-compile and pytorch-cudnn (with cuDNN's attention), for"
              + " which python3 must have torch, and cublas and cudnn, from Python's packages or the"
              + " CUDA toolkit (default: none).")
  private List<String> peers = List.of();

  @Option(
      names = "--resume",
      description = "Goes on with a run for the same folder that was stopped.")
  private boolean resume;

  @Option(
      names = "--compare",
      paramLabel = "FILE",
      description =
          "The regression.csv of an earlier run: kernels that are slower now fail the command.")
  private @Nullable Path compare;

  @Option(
      names = "--slower",
      paramLabel = "PERCENT",
      description = "By how much a kernel may be slower (default: ${DEFAULT-VALUE}).")
  private double slower = 8;

  /** For picocli. */
  public KernelsBenchmark() {}

  /** Gives 0 when done, 1 where a kernel has become slower; fails where a device cannot be used. */
  @Override
  public Integer call() throws IOException, GradusException {
    run.requireKnown("--peers", peers, KernelPeers.NAMES);
    try (KernelRun kernels = new KernelRun(run, groups, peers, resume)) {
      for (String device : devices.isEmpty() ? KernelRun.usable() : devices) {
        kernels.measure(device);
      }
      run.publish("kernels", "Kernels", List.of(kernels.section()));
      Files.writeString(
          run.out().resolve("regression.csv"), Regression.table(kernels.results()).csv());
      Path before = compare;
      List<String> lines =
          before == null ? List.of() : Regression.slower(before, kernels.results(), slower);
      lines.forEach(System.out::println);
      return lines.isEmpty() ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }
  }
}
