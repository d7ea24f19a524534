package io.gradus.cli;

import io.gradus.core.Device;
import io.gradus.data.CharText;
import io.gradus.data.Dataset;
import io.gradus.data.TrainTest;
import io.gradus.io.SafeTensors;
import io.gradus.nn.Module;
import io.gradus.tensor.Precision;
import io.gradus.train.CharGpt;
import io.gradus.train.CifarFast;
import io.gradus.train.ConsoleProgress;
import io.gradus.train.History;
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
  /** The recipes, by their names on the command line. */
  enum Recipe {
    CIFAR10_FAST("cifar10-fast"),
    CHAR_GPT("char-gpt");

    private final String label;

    Recipe(String label) {
      this.label = label;
    }

    /** The name that picocli shows and reads. */
    @Override
    public String toString() {
      return label;
    }
  }

  /** Characters that are written at the end, no more than steps were taken. */
  private static final int SAMPLE = 300;

  private static final int TEST_SAMPLES = 1000;

  private final Common common;
  private final Recipe recipe;
  private final Path data;
  private final RunFolder folder;
  private final long steps;
  private final long seed;
  private final @Nullable Integer subset;

  /**
   * A run.
   *
   * @param steps ends after so many; 0 for all
   */
  RecipeRun(
      Common common,
      Recipe recipe,
      Path data,
      RunFolder folder,
      long steps,
      long seed,
      @Nullable Integer subset) {
    this.common = common;
    this.recipe = recipe;
    this.data = data;
    this.folder = folder;
    this.steps = steps;
    this.seed = seed;
    this.subset = subset;
  }

  /**
   * Trains and writes what comes of it.
   *
   * @param epochs null for the recipe's own number
   * @param batch null for the recipe's own size
   * @param precision null for bf16 on GPUs and float32 elsewhere
   */
  int run(@Nullable Integer epochs, @Nullable Integer batch, @Nullable Precision precision)
      throws IOException {
    Device device = common.open();
    boolean gpu = device.type().equals("cuda");
    Precision products = precision != null ? precision : gpu ? Precision.BF16 : Precision.FLOAT32;
    common.require(Files.exists(data), "there is no " + data + ": check --data");
    folder.create();
    common.out().printf("device %s%n", common.describe(device));
    return switch (recipe) {
      case CIFAR10_FAST -> cifar(device, epochs, batch, products);
      case CHAR_GPT -> text(device, gpu, epochs, batch, products);
    };
  }

  private int cifar(
      Device device, @Nullable Integer epochs, @Nullable Integer batch, Precision precision)
      throws IOException {
    TrainTest sets = common.data(data);
    Integer samples = subset;
    if (samples != null) {
      sets =
          new TrainTest(
              first(sets.train(), samples), first(sets.test(), Math.min(samples, TEST_SAMPLES)));
    }
    CifarFast.Options options =
        CifarFast.Options.DEFAULT.withPrecision(precision).withSeed(seed).withSteps(steps);
    options = epochs == null ? options : options.withEpochs(epochs);
    options = batch == null ? options : options.withBatch(batch);
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
    save(run.network());
    common.out().printf(Locale.ROOT, "test accuracy %.2f%%%n", 100 * history.last().testAccuracy());
    return 0;
  }

  private int text(
      Device device,
      boolean gpu,
      @Nullable Integer epochs,
      @Nullable Integer batch,
      Precision precision)
      throws IOException {
    common.require(epochs == null, "--epochs is not for char-gpt: it counts steps, see --steps");
    common.require(subset == null, "--subset is not for char-gpt: name a shorter text with --data");
    CharText text = CharText.open(data);
    CharGpt.Options options = gpu ? CharGpt.Options.LARGE : CharGpt.Options.SMALL;
    options = options.withPrecision(precision).withSeed(seed).withLimit(steps);
    options = batch == null ? options : options.withBatch(batch);
    CharGpt run = new CharGpt(text, device, options);
    common
        .out()
        .printf(
            Locale.ROOT,
            "%s: %,d parameters, %,d characters of %d kinds, %d steps of %d times %d%n",
            recipe,
            run.network().parameterCount(),
            text.tokens().length,
            text.vocabularySize(),
            run.steps(),
            options.batch(),
            options.context());
    History history = fit(run::fit);
    save(run.network());
    common.out().println(run.sample((int) Math.min(SAMPLE, run.steps())).strip());
    common.out().printf(Locale.ROOT, "test loss %.4f per character%n", history.last().testLoss());
    return 0;
  }

  /** A run's loop. */
  @FunctionalInterface
  private interface Loop {
    History fit(List<TrainingListener> listeners) throws IOException;
  }

  private History fit(Loop loop) throws IOException {
    common.out().flush();
    try (ConsoleProgress progress = new ConsoleProgress(common.out(), Terminal.isInteractive())) {
      History history = loop.fit(List.of(progress, folder));
      folder.writeHistory(history);
      return history;
    }
  }

  private void save(Module network) throws IOException {
    SafeTensors.save(
        folder.path().resolve("weights.safetensors"),
        network.stateDict(),
        Map.of("recipe", recipe.label, "data", String.valueOf(data.getFileName())));
    common.out().println("saved " + folder.path());
  }

  private static Dataset first(Dataset set, int samples) {
    return samples >= set.size() ? set : set.take(samples);
  }
}
