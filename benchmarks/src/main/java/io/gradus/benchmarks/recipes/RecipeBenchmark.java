package io.gradus.benchmarks.recipes;

import io.gradus.benchmarks.engines.PeerException;
import io.gradus.benchmarks.engines.PythonWorker;
import io.gradus.benchmarks.report.RunOptions;
import io.gradus.core.Device;
import io.gradus.data.Datasets;
import io.gradus.data.TrainTest;
import io.gradus.tensor.Precision;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * The contest of the recipe cifar10-fast: {@code ./gradus bench recipe}. A contest that is stopped
 * goes on with {@code --resume}.
 */
@Command(
    name = "gradus bench recipe",
    description = {
      "Trains the recipe cifar10-fast with one seed after the other, of Gradus and in turns of",
      "PyTorch: how accurate it is, and how long it takes. --rounds says how many seeds (default:",
      "20; quick: 2, with a tiny network and few images)."
    },
    sortOptions = false)
public final class RecipeBenchmark implements Callable<Integer> {
  private static final int RUNS = 20;

  @Mixin private RunOptions run = new RunOptions();

  @Option(
      names = "--data",
      paramLabel = "DIR",
      required = true,
      description = "Folder with CIFAR-10 (its binary files).")
  private Path folder = Path.of("");

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description = "What Gradus computes on (default: ${DEFAULT-VALUE}).")
  private String device = "cuda";

  @Option(
      names = "--precision",
      paramLabel = "NAME",
      description = "Products in float32, tf32 or bf16 (default: ${DEFAULT-VALUE}).")
  private String precision = "bf16";

  @Option(
      names = "--peers",
      paramLabel = "NAME",
      split = ",",
      description = "Some of pytorch and pytorch-compile, which python3 must have (default: none).")
  private List<String> peers = List.of();

  @Option(names = "--resume", description = "Keep the runs that are in the folder of --out.")
  private boolean resume;

  /** For picocli. */
  public RecipeBenchmark() {}

  /** Gives 0 when done, 1 when Gradus failed, 2 for bad use. */
  @Override
  public Integer call() throws IOException {
    run.requireKnown("--precision", List.of(precision), List.of("float32", "tf32", "bf16"));
    run.requireKnown("--peers", peers, PythonWorker.TRAINING);
    int runs = run.rounds(RUNS, 2);
    Device chosen = Device.parse(device);
    RecipeSizes sizes = run.quick() ? RecipeSizes.TRIAL : RecipeSizes.FULL;
    TrainTest data = sizes.of(Datasets.open(folder));
    Path work = run.out().resolve("work");
    RecipeLog log = new RecipeLog(run.out().resolve("recipe-log.tsv"), resume);
    Map<String, String> engines = new LinkedHashMap<>();
    List<Racer> racers = new ArrayList<>();
    try {
      Precision kind = Precision.valueOf(precision.toUpperCase(Locale.ROOT));
      racers.add(new GradusRacer(data, chosen, sizes, kind));
      engines.put(racers.get(0).name(), "");
      Path images = work.resolve("recipe.bin");
      if (!peers.isEmpty()) {
        TorchRacer.write(data, images);
      }
      for (String name : peers) {
        engines.put(name, "");
        try {
          racers.add(TorchRacer.start(name, precision, images, sizes, work));
        } catch (PeerException e) {
          engines.put(name, "left out, " + e.getMessage());
        }
      }
      race(racers, runs, log, engines);
    } finally {
      racers.forEach(Racer::close);
    }
    String what = device + " in " + precision + (run.quick() ? ", a trial at tiny sizes" : "");
    run.publish("recipe", "Recipe", List.of(new RecipeSection(log, what, engines)));
    return CommandLine.ExitCode.OK;
  }

  /** One that fails does not go on. */
  static void race(List<Racer> racers, int runs, RecipeLog log, Map<String, String> engines)
      throws IOException {
    List<Racer> racing = new ArrayList<>(racers);
    List<Racer> warm = new ArrayList<>();
    for (int seed = 1; seed <= runs; seed++) {
      for (Racer racer : List.copyOf(racing)) {
        if (log.has(racer.name(), seed)) {
          continue;
        }
        try {
          if (!warm.contains(racer)) {
            racer.train(0);
            warm.add(racer);
          }
          Racer.Outcome outcome = racer.train(seed);
          log.add(racer.name(), seed, outcome);
          System.out.printf(
              Locale.ROOT,
              "%s, seed %d of %d: %.2f%% in %.2f s%n",
              racer.name(),
              seed,
              runs,
              outcome.accuracy() * 100,
              outcome.seconds());
        } catch (PeerException e) {
          racing.remove(racer);
          engines.put(racer.name(), "seed " + seed + ": " + e.getMessage());
        }
      }
    }
  }
}
