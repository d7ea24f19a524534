package io.gradus.benchmarks;

import io.gradus.benchmarks.engines.EngineOptions;
import io.gradus.benchmarks.engines.EngineRun;
import io.gradus.benchmarks.engines.PeerException;
import io.gradus.benchmarks.engines.StepsBenchmark;
import io.gradus.benchmarks.engines.Workload;
import io.gradus.benchmarks.kernels.KernelRun;
import io.gradus.benchmarks.kernels.KernelsBenchmark;
import io.gradus.benchmarks.kernels.TuneBenchmark;
import io.gradus.benchmarks.recipes.RecipeBenchmark;
import io.gradus.benchmarks.report.RunOptions;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** All benchmarks: {@code ./gradus bench}. */
@Command(
    name = "gradus bench",
    description = {
      "Measures kernels, training steps, tiny operations, cold starts and downloads.",
      "",
      "gradus bench steps     training steps alone (--help)",
      "gradus bench kernels   kernels alone (--help)",
      "gradus bench tune      the tiles of the matrix product on a Hopper GPU (--help)",
      "gradus bench recipe    CIFAR-10 to 94%, beside PyTorch (--help)",
      "gradus bench NAME      a JMH benchmark, such as Matmul -p size=1024; all of JMH's options"
    },
    sortOptions = false)
public final class Bench implements Callable<Integer> {
  @Mixin private RunOptions run = new RunOptions();
  @Mixin private EngineOptions engines = new EngineOptions();

  @Option(
      names = "--device",
      paramLabel = "NAME",
      split = ",",
      description =
          "Devices (default: for kernels all that can be used; for steps cpu, and cuda where it"
              + " can be used).")
  private List<String> devices = List.of();

  /** For picocli. */
  public Bench() {}

  /** What an argument list asks for. */
  enum Kind {
    ALL,
    STEPS,
    KERNELS,
    TUNE,
    RECIPE,
    JMH;

    /** JMH's own options begin with one dash. */
    static Kind of(String[] args) {
      if (args.length == 0) {
        return ALL;
      }
      return switch (args[0]) {
        case "steps" -> STEPS;
        case "kernels" -> KERNELS;
        case "tune", "--tune" -> TUNE;
        case "recipe" -> RECIPE;
        default -> args[0].startsWith("--") ? ALL : JMH;
      };
    }
  }

  /** Measures and ends the JVM: 0 done, 1 failed or losses that disagree, 2 bad use. */
  public static void main(String[] args) throws IOException {
    Kind kind = Kind.of(args);
    if (kind == Kind.JMH) {
      org.openjdk.jmh.Main.main(withoutWord("jmh", args));
      return;
    }
    System.exit(
        switch (kind) {
          case STEPS ->
              RunOptions.execute(new StepsBenchmark(KernelRun::peak), withoutWord("steps", args));
          case KERNELS -> RunOptions.execute(new KernelsBenchmark(), withoutWord("kernels", args));
          case TUNE ->
              RunOptions.execute(new TuneBenchmark(), Arrays.copyOfRange(args, 1, args.length));
          case RECIPE -> RunOptions.execute(new RecipeBenchmark(), withoutWord("recipe", args));
          default -> RunOptions.execute(new Bench(), args);
        });
  }

  private static String[] withoutWord(String word, String[] args) {
    return args[0].equals(word) ? Arrays.copyOfRange(args, 1, args.length) : args;
  }

  @Override
  public Integer call() throws PeerException, IOException {
    engines.check(run, true);
    List<String> usable = KernelRun.usable();
    EngineRun measurement =
        new EngineRun(run, engines, devices.isEmpty() ? training(usable) : devices);
    measurement.steps(Workload.common());
    measurement.rest();
    try (KernelRun kernels = new KernelRun(run, List.of(), engines.ofKernels(), false)) {
      for (String device : devices.isEmpty() ? usable : devices) {
        kernels.measure(device);
      }
      run.publish("bench", "Benchmarks", List.of(measurement.section(), kernels.section()));
    }
    return measurement.disagrees() ? ExitCode.SOFTWARE : ExitCode.OK;
  }

  private static List<String> training(List<String> usable) {
    return usable.stream().filter(name -> name.equals("cpu") || name.startsWith("cuda")).toList();
  }
}
