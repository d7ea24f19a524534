package io.gradus.cli;

import io.gradus.core.Device;
import io.gradus.data.DataLoader;
import io.gradus.data.Dataset;
import io.gradus.data.Standardise;
import io.gradus.data.TrainTest;
import io.gradus.nn.Module;
import io.gradus.optim.AdamW;
import io.gradus.optim.Schedule;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Precision;
import io.gradus.train.CheckpointOptions;
import io.gradus.train.ConsoleProgress;
import io.gradus.train.History;
import io.gradus.train.Networks;
import io.gradus.train.ProfiledSteps;
import io.gradus.train.RunFolder;
import io.gradus.train.TrainedModel;
import io.gradus.train.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Trains a network and keeps what comes of it in a folder. */
@Command(
    name = "train",
    description = "Trains a network on a folder of data, or on drawn digits.",
    footer = {
      "",
      "--data takes a folder with MNIST-like idx files, CIFAR-10 binary batches, one folder of"
          + " images per class, or a CSV table.",
      "The folder --out receives metrics.csv, curves.png, model.safetensors and checkpoint/;"
          + " with --recipe weights.safetensors in place of model.safetensors.",
      "--profile adds profile.txt, a table, and profile.json, a trace for chrome://tracing or"
          + " Perfetto."
    })
final class TrainCommand implements Callable<Integer> {
  private static final int EVALUATION_BATCH = 256;
  private static final int PROFILE_AFTER = 10;
  private static final int PROFILED = 20;

  @Mixin private Common common = new Common();

  @Mixin private RecipeOptions recipes = new RecipeOptions();

  @Option(
      names = "--data",
      paramLabel = "DIR",
      description = "Folder with the data (default: digits drawn by the program).")
  private @Nullable Path data;

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      description = "mlp, cnn or resnet20 (default: cnn; mlp for tables).")
  private @Nullable Networks model;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "3",
      description = "How often the training set is gone through (default: 3).")
  private int epochs;

  @Option(
      names = "--batch",
      paramLabel = "N",
      defaultValue = "64",
      description = "Samples per step (default: 64).")
  private int batch;

  @Option(
      names = "--lr",
      paramLabel = "X",
      defaultValue = "0.002",
      description =
          "Learning rate of AdamW at its peak: it rises for 30%% of the run, then falls to 0"
              + " (default: 0.002).")
  private double lr;

  @Option(
      names = "--precision",
      paramLabel = "TYPE",
      defaultValue = "float32",
      description =
          "float32, bf16, fp16 or tf32: the type that products are computed in; weights stay"
              + " float32 (default: float32; recipes: bf16 on GPUs).")
  private Precision precision = Precision.FLOAT32;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "Seed of weights, order and dropout (default: 0).")
  private long seed;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "Folder for the results (default: a new folder under runs).")
  private @Nullable Path out;

  @Option(names = "--resume", description = "Continue the run in --out where it was stopped.")
  private boolean resume;

  @Option(
      names = "--subset",
      paramLabel = "N",
      description = "Use N training samples and at most N test samples (default: all).")
  private @Nullable Integer subset;

  @Option(
      names = "--capture",
      description =
          "Record the training step once and repeat it in one call; the results are the same, bit"
              + " for bit.")
  private boolean capture;

  @Option(
      names = "--profile",
      description =
          "Say which operations the time of a step goes to: profiles 20 steps of an epoch after 10"
              + " to warm up; captured steps and those of recipes run eagerly meanwhile.")
  private boolean profile;

  @Option(
      names = "--checkpoint-seconds",
      paramLabel = "N",
      defaultValue = "30",
      description = "Seconds between checkpoints within an epoch (default: 30).")
  private int checkpointSeconds;

  @Override
  public Integer call() throws IOException {
    common.require(epochs >= 1, "--epochs must be at least 1, not " + epochs);
    common.require(batch >= 1, "--batch must be at least 1, not " + batch);
    common.require(lr > 0 && Double.isFinite(lr), "--lr must be a positive number, not " + lr);
    common.require(
        checkpointSeconds >= 0, "--checkpoint-seconds must not be negative: " + checkpointSeconds);
    Integer samples = subset;
    common.require(samples == null || samples >= 1, "--subset must be at least 1, not " + samples);
    recipes.check(common);
    if (recipes.recipe() != null) {
      return runRecipe(recipes.recipe());
    }
    Device device = common.open();
    TrainTest sets = common.data(data);
    Dataset train = samples == null ? sets.train() : first(sets.train(), samples);
    Dataset test = samples == null ? sets.test() : first(sets.test(), samples);
    Networks network = model;
    if (network == null) {
      network = train.sampleShape().rank() == 1 ? Networks.MLP : Networks.CNN;
    }
    String source = data == null ? Common.DIGITS : data.toAbsolutePath().normalize().toString();
    RunFolder folder = folder(Path.of(source).getFileName() + "-" + network.label());
    folder.create();
    Generator.seed(seed);
    Standardise standardise = Standardise.learn(train);
    Module module = network.create(train.sampleShape(), train.classes());
    module.to(device);
    common.out().printf("device %s%n", common.describe(device));
    common
        .out()
        .printf(
            "data %s: %d training and %d test samples of %s, %d classes%n",
            train.name(), train.size(), test.size(), train.sampleShape(), train.classes());
    common.out().println(module.summary(train.sampleShape().insert(0, 1)));
    common.out().flush();

    DataLoader batches =
        DataLoader.builder(train)
            .batch(batch)
            .shuffle(true)
            .seed(seed)
            .standardise(standardise)
            .build();
    DataLoader evaluation =
        DataLoader.builder(test).batch(EVALUATION_BATCH).standardise(standardise).build();
    long steps = (long) epochs * batches.batches();
    History history;
    try (ConsoleProgress progress = new ConsoleProgress(common.out(), Terminal.isInteractive());
        ProfiledSteps profiled = profiled(folder)) {
      Trainer.Builder run =
          Trainer.builder(module, batches)
              .test(evaluation)
              .optimizer(new AdamW(module.parameters(), lr))
              .schedule(Schedule.oneCycle(steps))
              .precision(precision)
              .epochs(epochs)
              .checkpoints(folder.checkpoints())
              .checkpointEvery(Duration.ofSeconds(checkpointSeconds))
              .resume(resume)
              .capture(capture)
              .identity(identity(source, train.size(), network))
              .listener(progress)
              .listener(folder);
      if (profiled != null) {
        run.listener(profiled);
      }
      history = run.build().fit();
      common.show(profiled);
    }
    folder.writeHistory(history);
    new TrainedModel(network, module, train.sampleShape(), train.classNames(), standardise, source)
        .save(folder.model());
    common.out().println("saved " + folder.path());
    common.out().printf(Locale.ROOT, "test accuracy %.2f%%%n", 100 * history.last().testAccuracy());
    return 0;
  }

  private int runRecipe(RecipeOptions.Recipe chosen) throws IOException {
    for (String other : List.of("--model", "--lr", "--capture")) {
      common.require(!common.isGiven(other), other + " is not for --recipe: leave it out");
    }
    Path source = data;
    if (source == null) {
      throw common.badUse("--recipe " + chosen + " needs --data");
    }
    RunFolder folder = folder(chosen.toString());
    CheckpointOptions checkpoints =
        new CheckpointOptions(folder.checkpoints(), Duration.ofSeconds(checkpointSeconds), resume);
    try (ProfiledSteps profiled = profiled(folder)) {
      return new RecipeRun(common, chosen, recipes, source, folder, checkpoints, seed, profiled)
          .run(
              common.isGiven("--epochs") ? epochs : null,
              common.isGiven("--batch") ? batch : null,
              common.isGiven("--precision") ? precision : null,
              subset);
    }
  }

  private @Nullable ProfiledSteps profiled(RunFolder folder) {
    return profile ? new ProfiledSteps(folder.path(), PROFILE_AFTER, PROFILED) : null;
  }

  private static Dataset first(Dataset set, int samples) {
    return samples >= set.size() ? set : set.take(samples);
  }

  /** What a checkpoint must agree with to be continued. */
  private String identity(String source, int samples, Networks network) {
    return String.format(
        Locale.ROOT,
        "data=%s samples=%d model=%s epochs=%d batch=%d lr=%s precision=%s seed=%d",
        source,
        samples,
        network.label(),
        epochs,
        batch,
        lr,
        precision.name().toLowerCase(Locale.ROOT),
        seed);
  }

  /**
   * The folder of the run.
   *
   * @param name of a new one, where none is given
   */
  private RunFolder folder(String name) throws IOException {
    Path given = out;
    if (given == null) {
      return RunFolder.underRuns(Path.of("runs"), name, resume);
    }
    RunFolder folder = new RunFolder(given);
    common.require(
        resume || folder.isFree(),
        given + " holds a run already: continue it with --resume, or choose another --out");
    return folder;
  }
}
