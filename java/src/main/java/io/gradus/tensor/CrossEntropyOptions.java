package io.gradus.tensor;

import io.gradus.core.Checks;
import org.jspecify.annotations.Nullable;

/**
 * How {@link Loss#crossEntropy} and {@link Loss#nll} weigh rows and classes. Start from {@link
 * #defaults()}:
 *
 * <pre>{@code
 * CrossEntropyOptions.defaults().labelSmoothing(0.1).reduction(Reduction.SUM)
 * }</pre>
 *
 * @param weight factor of every class, [classes], or null for 1
 * @param labelSmoothing part of the target spread evenly over all classes, 0 to 1
 * @param ignoreIndex label whose rows do not count
 * @param reduction what is made of the losses
 */
public record CrossEntropyOptions(
    @Nullable Tensor weight, double labelSmoothing, long ignoreIndex, Reduction reduction) {
  private static final long IGNORE = -100;
  private static final CrossEntropyOptions DEFAULTS =
      new CrossEntropyOptions(null, 0, IGNORE, Reduction.MEAN);

  /**
   * Checks the values.
   *
   * @param weight factor of every class, [classes], or null for 1
   * @param labelSmoothing part of the target spread evenly over all classes, 0 to 1
   * @param ignoreIndex label whose rows do not count
   * @param reduction what is made of the losses
   * @throws io.gradus.core.ArgumentException when the smoothing is not within 0 to 1
   */
  public CrossEntropyOptions {
    Checks.argument(
        labelSmoothing >= 0 && labelSmoothing <= 1,
        "[crossEntropy] label smoothing %s is not within 0 to 1: 0.1 is usual",
        labelSmoothing);
  }

  /**
   * No weights, no smoothing, label -100 ignored, the mean.
   *
   * @return the defaults
   */
  public static CrossEntropyOptions defaults() {
    return DEFAULTS;
  }

  /**
   * These with other class weights.
   *
   * @param value factor of every class, or null for 1
   * @return the changed options
   */
  public CrossEntropyOptions weight(@Nullable Tensor value) {
    return new CrossEntropyOptions(value, labelSmoothing, ignoreIndex, reduction);
  }

  /**
   * These with another smoothing.
   *
   * @param value part spread evenly over all classes, 0 to 1
   * @return the changed options
   */
  public CrossEntropyOptions labelSmoothing(double value) {
    return new CrossEntropyOptions(weight, value, ignoreIndex, reduction);
  }

  /**
   * These with another ignored label.
   *
   * @param value label whose rows do not count
   * @return the changed options
   */
  public CrossEntropyOptions ignoreIndex(long value) {
    return new CrossEntropyOptions(weight, labelSmoothing, value, reduction);
  }

  /**
   * These with another reduction.
   *
   * @param value what is made of the losses
   * @return the changed options
   */
  public CrossEntropyOptions reduction(Reduction value) {
    return new CrossEntropyOptions(weight, labelSmoothing, ignoreIndex, value);
  }
}
