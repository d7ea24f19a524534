package io.gradus.cli;

import io.gradus.cli.RecipeOptions.Recipe;
import io.gradus.core.Device;
import io.gradus.data.CharText;
import io.gradus.data.Dataset;
import io.gradus.data.TrainTest;
import io.gradus.io.AtomicFiles;
import io.gradus.io.SafeTensors;
import io.gradus.tensor.Precision;
import io.gradus.train.CharGpt;
import io.gradus.train.CharGptModel;
import io.gradus.train.CheckpointOptions;
import io.gradus.train.CifarFast;
import io.gradus.train.ConsoleProgress;
import io.gradus.train.History;
import io.gradus.train.ProfiledSteps;
import io.gradus.train.RunFolder;
import io.gradus.train.TrainingListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code gradus train --recipe}: networks with a way of training of their own. */
final class RecipeRun {
  /** Characters that are written at the end, no more than steps were taken. */
  private static final int SAMPLE = 300;

  private static final int TEST_SAMPLES = 1000;
  private static final String SAMPLE_FILE = "sample.txt";

  private final Common common;
  private final Recipe recipe;
  private final RecipeOptions given;
  private final Path data;
  private final RunFolder folder;
  private final CheckpointOptions checkpoints;
  private final long seed;
  private final long steps;
  private final @Nullable ProfiledSteps profiled;

  /**
   * A run.
   *
   * @param given the recipes' own options
   * @param profiled profiles some steps; null for none
   */
  RecipeRun(
      Common common,
      Recipe recipe,
      RecipeOptions given,
      Path data,
      RunFolder folder,
      CheckpointOptions checkpoints,
      long seed,
      @Nullable ProfiledSteps profiled) {
    this.common = common;
    this.recipe = recipe;
    this.given = given;
    this.data = data;
    this.folder = folder;
    this.checkpoints = checkpoints;
    this.seed = seed;
    this.profiled = profiled;
    Long limit = given.steps();
    this.steps = limit == null ? 0 : limit;
  }

  /**
   * Trains and writes what comes of it.
   *
   * @param epochs null for the recipe's own number
   * @param batch null for the recipe's own size
   * @param precision null for bf16 on GPUs and float32 elsewhere
   * @param subset training samples; null for all
   */
  int run(
      @Nullable Integer epochs,
      @Nullable Integer batch,
      @Nullable Precision precision,
      @Nullable Integer subset)
      throws IOException {
    Device device = common.open();
    boolean gpu = device.type().equals("cuda");
    Precision products = precision != null ? precision : gpu ? Precision.BF16 : Precision.FLOAT32;
    common.require(Files.exists(data), "there is no " + data + ": check --data");
    folder.create();
    common.out().printf("device %s%n", common.describe(device));
    if (recipe == Recipe.CIFAR10_FAST) {
      CifarFast.Options options =
          CifarFast.Options.DEFAULT.withPrecision(products).withSeed(seed).withSteps(steps);
      options = epochs == null ? options : options.withEpochs(epochs);
      options = batch == null ? options : options.withBatch(batch);
      CifarFast.Method method = given.optimizer();
      return images(device, method == null ? options : options.withMethod(method), subset);
    }
    common.require(epochs == null, "--epochs is not for char-gpt: it counts steps, see --steps");
    common.require(subset == null, "--subset is not for char-gpt: name a shorter text with --data");
    CharGpt.Options options = gpu ? CharGpt.Options.LARGE : CharGpt.Options.SMALL;
    options = options.withPrecision(products).withSeed(seed).withLimit(steps);
    options = batch == null ? options : options.withBatch(batch);
    Double ema = given.ema();
    return text(device, ema == null ? options : options.withEma(ema));
  }

  private int images(Device device, CifarFast.Options options, @Nullable Integer subset)
      throws IOException {
    TrainTest sets = common.data(data);
    if (subset != null) {
      sets =
          new TrainTest(
              first(sets.train(), subset), first(sets.test(), Math.min(subset, TEST_SAMPLES)));
    }
    CifarFast run = new CifarFast(sets, device, options);
    common
        .out()
        .printf(
            Locale.ROOT,
            "%s: %,d parameters, %d training and %d test images, %d steps of %d%n",
            recipe,
            run.network().parameterCount(),
            sets.train().size(),
            sets.test().size(),
            run.steps(),
            options.batch());
    History history = fit(run::fit);
    SafeTensors.save(
        folder.weights(),
        run.network().stateDict(),
        Map.of("recipe", recipe.toString(), "data", String.valueOf(data.getFileName())));
    common.out().println("saved " + folder.path());
    common.out().printf(Locale.ROOT, "test accuracy %.2f%%%n", 100 * history.last().testAccuracy());
    return 0;
  }

  private int text(Device device, CharGpt.Options options) throws IOException {
    CharText text = CharText.open(data);
    CharGpt run = new CharGpt(text, device, options);
    CharGptModel model = run.model();
    common
        .out()
        .printf(
            Locale.ROOT,
            "%s: %,d parameters, %,d characters of %d kinds, %d steps of %d times %d%n",
            recipe,
            model.network().parameterCount(),
            text.tokens().length,
            model.vocabulary().size(),
            run.steps(),
            options.batch(),
            options.context());
    History history = fit(run::fit);
    model.save(folder.weights(), text.name());
    Integer length = given.sample();
    String sample =
        model.sample(length != null ? length : (int) Math.min(SAMPLE, run.steps()), seed);
    AtomicFiles.writeString(folder.path().resolve(SAMPLE_FILE), sample);
    common.out().println("saved " + folder.path());
    common.out().println(sample.strip());
    common.out().printf(Locale.ROOT, "test loss %.4f per character%n", history.last().testLoss());
    return 0;
  }

  /** A run's loop. */
  @FunctionalInterface
  private interface Loop {
    History fit(List<TrainingListener> listeners, CheckpointOptions checkpoints) throws IOException;
  }

  private History fit(Loop loop) throws IOException {
    common.out().flush();
    try (ConsoleProgress progress = new ConsoleProgress(common.out(), Terminal.isInteractive())) {
      ProfiledSteps profile = profiled;
      History history =
          loop.fit(
              profile == null ? List.of(progress, folder) : List.of(progress, folder, profile),
              checkpoints);
      folder.writeHistory(history);
      common.show(profile);
      return history;
    }
  }

  private static Dataset first(Dataset set, int samples) {
    return samples >= set.size() ? set : set.take(samples);
  }
}
