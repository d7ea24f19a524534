package io.gradus.optim;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Lowers an optimizer's learning rates when a metric no longer improves: after more than {@code
 * patience} steps without a new best, every rate becomes max(lr factor, min), and for {@code
 * cooldown} steps nothing is counted.
 *
 * <p>An improvement is metric &lt; best (1 - threshold), or metric > best (1 + threshold) where
 * more is better. NaN is none. Source: PyTorch's ReduceLROnPlateau.
 *
 * <pre>{@code
 * Plateau plateau = new Plateau(optimizer, Plateau.Options.lessIsBetter());
 * plateau.step(validationLoss);
 * }</pre>
 */
public final class Plateau {
  /** A smaller change of the rate is not made. */
  private static final double NEGLIGIBLE = 1e-8;

  /**
   * Settings.
   *
   * @param moreIsBetter whether the metric should rise, as accuracy, or fall, as a loss
   * @param factor what the rate is multiplied by
   * @param patience steps without improvement that are borne
   * @param threshold relative change that counts as improvement
   * @param cooldown steps after a change in which nothing is counted
   * @param min smallest rate
   */
  public record Options(
      boolean moreIsBetter,
      double factor,
      int patience,
      double threshold,
      int cooldown,
      double min) {
    /** Checks the ranges. */
    public Options {
      Checks.argument(
          0 < factor && factor < 1, "[plateau] factor %s must be between 0 and 1", factor);
      Checks.argument(
          patience >= 0 && cooldown >= 0,
          "[plateau] patience %d and cooldown %d must be >= 0",
          patience,
          cooldown);
      Checks.argument(
          threshold >= 0 && min >= 0,
          "[plateau] threshold %s and min %s must be >= 0",
          threshold,
          min);
    }

    /** For a loss: factor 0.1, patience 10, threshold 1e-4, no cooldown, min 0. */
    public static Options lessIsBetter() {
      return new Options(false, 0.1, 10, 1e-4, 0, 0);
    }

    /** For an accuracy: factor 0.1, patience 10, threshold 1e-4, no cooldown, min 0. */
    public static Options moreIsBetter(double factor, int patience) {
      return new Options(true, factor, patience, 1e-4, 0, 0);
    }

    /** These settings with another factor. */
    public Options withFactor(double factor) {
      return new Options(moreIsBetter, factor, patience, threshold, cooldown, min);
    }

    /** These settings with another patience. */
    public Options withPatience(int patience) {
      return new Options(moreIsBetter, factor, patience, threshold, cooldown, min);
    }
  }

  private final Optimizer optimizer;
  private final Options options;
  private double best;
  private long bad;
  private long cooling;

  /** Changes nothing before the first step. */
  public Plateau(Optimizer optimizer, Options options) {
    this.optimizer = optimizer;
    this.options = options;
    this.best = options.moreIsBetter ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
  }

  /** Takes the metric of a step. */
  public void step(double metric) {
    if (improves(metric)) {
      best = metric;
      bad = 0;
    } else {
      bad++;
    }
    if (cooling > 0) {
      cooling--;
      bad = 0;
    }
    if (bad > options.patience) {
      optimizer.groups().forEach(this::lower);
      cooling = options.cooldown;
      bad = 0;
    }
  }

  private boolean improves(double metric) {
    return options.moreIsBetter
        ? metric > best * (1 + options.threshold)
        : metric < best * (1 - options.threshold);
  }

  private void lower(ParameterGroup group) {
    double lr = Math.max(group.lr() * options.factor, options.min);
    if (group.lr() - lr > NEGLIGIBLE) {
      group.setLr(lr);
    }
  }

  /** The best metric and the counters; the rates are in the optimizer's state. */
  public Map<String, Tensor> stateDict() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    out.put("best", Tensor.of(new double[] {best}));
    out.put("counts", Tensor.of(new long[] {bad, cooling}));
    return out;
  }

  /**
   * Restores what {@link #stateDict()} gave.
   *
   * @throws io.gradus.core.ArgumentException when names differ
   */
  public void loadStateDict(Map<String, Tensor> state) {
    States.check("plateau", stateDict(), state);
    best = States.get("plateau", state, "best").toDoubles()[0];
    long[] counts = States.get("plateau", state, "counts").toLongs();
    bad = counts[0];
    cooling = counts[1];
  }
}
