package io.gradus.cli;

import io.gradus.train.CifarFast;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options of {@code gradus train} that are for recipes alone. */
final class RecipeOptions {
  /** The recipes, by their names on the command line. */
  enum Recipe {
    CIFAR10_FAST("cifar10-fast"),
    CHAR_GPT("char-gpt");

    private final String label;

    Recipe(String label) {
      this.label = label;
    }

    /** The name on the command line. */
    @Override
    public String toString() {
      return label;
    }
  }

  @Option(
      names = "--recipe",
      paramLabel = "RECIPE",
      description =
          "cifar10-fast: a small network that learns CIFAR-10 in ten epochs; char-gpt: a small"
              + " transformer that learns to go on with a text. Network, rates and schedule are the"
              + " recipe's own; the step is captured, and products are bf16 on GPUs.")
  private @Nullable Recipe recipe;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "With --recipe: end after N steps (default: all).")
  private @Nullable Long steps;

  @Option(
      names = "--optimizer",
      paramLabel = "NAME",
      description = "With cifar10-fast: sgd or muon, what updates the convolutions (default: sgd).")
  private CifarFast.@Nullable Method optimizer;

  @Option(
      names = "--ema",
      paramLabel = "X",
      description =
          "With char-gpt: test and keep a moving average of the weights, which weighs the past by"
              + " X, such as 0.99 (default: the weights themselves).")
  private @Nullable Double ema;

  @Option(
      names = "--sample",
      paramLabel = "N",
      description =
          "With char-gpt: characters that it makes up at the end (default: 300); see also predict.")
  private @Nullable Integer sample;

  @Nullable Recipe recipe() {
    return recipe;
  }

  @Nullable Long steps() {
    return steps;
  }

  CifarFast.@Nullable Method optimizer() {
    return optimizer;
  }

  @Nullable Double ema() {
    return ema;
  }

  @Nullable Integer sample() {
    return sample;
  }

  /** Refuses what the chosen recipe, or a run without one, has no use for. */
  void check(Common common) {
    common.require(steps == null || recipe != null, "--steps is for --recipe: see --epochs");
    common.require(steps == null || steps >= 1, "--steps must be at least 1, not " + steps);
    common.require(
        optimizer == null || recipe == Recipe.CIFAR10_FAST,
        "--optimizer is for --recipe cifar10-fast: leave it out");
    boolean text = recipe == Recipe.CHAR_GPT;
    common.require(
        ema == null || text,
        "--ema is for --recipe char-gpt: leave it out"
            + (recipe == null ? "" : ", " + recipe + " averages its weights by itself"));
    common.require(sample == null || text, "--sample is for --recipe char-gpt: leave it out");
    common.require(
        ema == null || (ema >= 0 && ema < 1), "--ema must be at least 0 and below 1, not " + ema);
    common.require(sample == null || sample >= 0, "--sample must not be negative: " + sample);
  }
}
