package io.gradus.tensor;

import io.gradus.core.Checks;
import org.jspecify.annotations.Nullable;

/**
 * How queries attend to keys.
 *
 * <pre>{@code
 * AttentionOptions decoder = AttentionOptions.DEFAULT.withCausal(true).withDropout(0.1);
 * }</pre>
 *
 * @param causal whether a query sees the keys up to its own place alone; the last query sees the
 *     last key
 * @param scale factor of the products; null for 1 / sqrt(D)
 * @param dropout probability with which a weight becomes 0; give 0 outside training
 */
public record AttentionOptions(boolean causal, @Nullable Double scale, double dropout) {
  /** Every query sees every key; scale 1 / sqrt(D); no dropout. */
  public static final AttentionOptions DEFAULT = new AttentionOptions(false, null, 0);

  /**
   * Checks the ranges.
   *
   * @throws io.gradus.core.ArgumentException when scale is not finite or dropout not within 0 to 1
   */
  public AttentionOptions {
    if (scale != null) {
      Checks.argument(Double.isFinite(scale), "[attention] scale %s must be finite", scale);
    }
    Checks.argument(
        dropout >= 0 && dropout <= 1,
        "[attention] dropout is %s: a probability is within 0 to 1, such as 0.1",
        dropout);
  }

  /** This with another choice of causal. */
  public AttentionOptions withCausal(boolean value) {
    return new AttentionOptions(value, scale, dropout);
  }

  /** This with another scale. */
  public AttentionOptions withScale(double value) {
    return new AttentionOptions(causal, value, dropout);
  }

  /** This with another probability of dropping a weight. */
  public AttentionOptions withDropout(double value) {
    return new AttentionOptions(causal, scale, value);
  }
}
