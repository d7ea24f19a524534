package io.gradus.optim;

import io.gradus.core.Checks;

/**
 * A learning rate as a function of the step, be it an epoch or a batch: whoever calls {@link
 * Scheduler#step()} decides. Step 0 is the first.
 *
 * <pre>{@code
 * Schedule schedule = Schedule.cosine(95, 0).warmUp(5, 0.1);
 * }</pre>
 */
@FunctionalInterface
public interface Schedule {
  /**
   * The learning rate at a step.
   *
   * @param base the group's own learning rate
   * @param step from 0
   */
  double lr(double base, long step);

  /** lr = base. */
  static Schedule constant() {
    return (base, step) -> base;
  }

  /**
   * lr = base gamma^floor(step / size).
   *
   * @throws io.gradus.core.ArgumentException when the size is not positive
   */
  static Schedule step(long size, double gamma) {
    Checks.argument(size > 0, "[schedule] step size %d must be positive", size);
    return (base, step) -> base * Math.pow(gamma, (double) Math.floorDiv(step, size));
  }

  /**
   * lr = base gamma^(number of milestones that step has reached).
   *
   * @throws io.gradus.core.ArgumentException when the milestones do not rise
   */
  static Schedule multiStep(double gamma, long... milestones) {
    long[] at = milestones.clone();
    for (int i = 1; i < at.length; i++) {
      Checks.argument(
          at[i - 1] < at[i], "[schedule] milestones must rise: %d, %d", at[i - 1], at[i]);
    }
    return (base, step) -> {
      int reached = 0;
      while (reached < at.length && step >= at[reached]) {
        reached++;
      }
      return base * Math.pow(gamma, reached);
    };
  }

  /** lr = base gamma^step. */
  static Schedule exponential(double gamma) {
    return (base, step) -> base * Math.pow(gamma, (double) step);
  }

  /**
   * lr = min + (base - min) (1 + cos(pi step / steps)) / 2, and min after {@code steps} (where
   * PyTorch's rises again).
   *
   * <p>Source: Loshchilov, Hutter, "SGDR", ICLR 2017.
   *
   * @throws io.gradus.core.ArgumentException when steps is not positive
   */
  static Schedule cosine(long steps, double min) {
    Checks.argument(steps > 0, "[schedule] cosine over %d steps: must be positive", steps);
    return (base, step) -> anneal(base, min, Math.min(1, step / (double) steps));
  }

  /**
   * {@link #oneCycle(long, double, double, double)} with PyTorch's defaults: rising for 0.3 of the
   * steps from base / 25, down to a 10,000th of that.
   */
  static Schedule oneCycle(long steps) {
    return oneCycle(steps, 0.3, 25, 1e4);
  }

  /**
   * One cycle of two cosines: from base / divisor up to base, then down to base / divisor /
   * finalDivisor. The group's own rate is the peak; the momentum is not cycled.
   *
   * <pre>{@code
   * peak = rising steps - 1;   last = steps - 1
   * lr = cosine from base / divisor to base over [0, peak], to the minimum over [peak, last]
   * }</pre>
   *
   * <p>Source: Smith, Topin, "Super-convergence", arXiv:1708.07120, in the form of PyTorch's
   * OneCycleLR.
   *
   * @param steps steps of the whole run; the minimum holds afterwards
   * @param rising share of the steps in which the rate rises
   * @param divisor base / divisor is the first rate
   * @param finalDivisor first rate / finalDivisor is the last rate
   * @throws io.gradus.core.ArgumentException when a number is out of its range
   */
  static Schedule oneCycle(long steps, double rising, double divisor, double finalDivisor) {
    Checks.argument(steps > 0, "[schedule] one cycle over %d steps: must be positive", steps);
    Checks.argument(0 <= rising && rising <= 1, "[schedule] rising %s must be in [0, 1]", rising);
    Checks.argument(
        divisor > 0 && finalDivisor > 0,
        "[schedule] divisors %s and %s must be positive",
        divisor,
        finalDivisor);
    double peak = rising * steps - 1;
    double last = steps - 1;
    return (base, step) -> {
      double first = base / divisor;
      double at = Math.min((double) step, last);
      return at <= peak
          ? anneal(first, base, peak == 0 ? 1 : at / peak)
          : anneal(base, first / finalDivisor, last == peak ? 1 : (at - peak) / (last - peak));
    };
  }

  /**
   * This schedule after a linear warm-up: lr = first rate (start + (1 - start) step / steps) while
   * step is below {@code steps}, then this schedule from its step 0 on.
   *
   * <p>Source: Goyal et al., "Accurate, large minibatch SGD", arXiv:1706.02677.
   *
   * @param steps steps of the warm-up
   * @param start share of the rate at step 0
   * @throws io.gradus.core.ArgumentException when steps is negative or start not in [0, 1]
   */
  default Schedule warmUp(long steps, double start) {
    Checks.argument(steps >= 0, "[schedule] warm-up over %d steps: must be >= 0", steps);
    Checks.argument(0 <= start && start <= 1, "[schedule] start %s must be in [0, 1]", start);
    return (base, step) ->
        step < steps ? lr(base, 0) * (start + (1 - start) * step / steps) : lr(base, step - steps);
  }

  private static double anneal(double from, double to, double share) {
    return to + (from - to) * (1 + Math.cos(Math.PI * share)) / 2;
  }
}
