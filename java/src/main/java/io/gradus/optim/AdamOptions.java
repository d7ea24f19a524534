package io.gradus.optim;

import io.gradus.backend.AdamScalars;
import io.gradus.core.Checks;

/**
 * Settings of a group of {@link Adam} or {@link AdamW}.
 *
 * @param lr learning rate
 * @param beta1 decay of the first moment
 * @param beta2 decay of the second moment
 * @param eps added to the root of the second moment
 * @param weightDecay weight decay
 */
public record AdamOptions(double lr, double beta1, double beta2, double eps, double weightDecay) {
  /** Checks the ranges. */
  public AdamOptions {
    ParameterGroup.checkLr(lr);
    Checks.argument(0 <= beta1 && beta1 < 1, "[adam] beta1 %s must be in [0, 1)", beta1);
    Checks.argument(0 <= beta2 && beta2 < 1, "[adam] beta2 %s must be in [0, 1)", beta2);
    Checks.argument(eps >= 0, "[adam] eps %s must be >= 0", eps);
    Checks.argument(weightDecay >= 0, "[adam] weightDecay %s must be >= 0", weightDecay);
  }

  /** The defaults at a learning rate: beta1 0.9, beta2 0.999, eps 1e-8, weightDecay 0. */
  public static AdamOptions of(double lr) {
    return new AdamOptions(lr, 0.9, 0.999, 1e-8, 0);
  }

  /** What the update takes of them. */
  AdamScalars scalars(boolean decoupled) {
    return new AdamScalars(beta1, beta2, eps, weightDecay, decoupled);
  }

  /** These settings with other decays of the moments. */
  public AdamOptions withBetas(double beta1, double beta2) {
    return new AdamOptions(lr, beta1, beta2, eps, weightDecay);
  }

  /** These settings with another eps. */
  public AdamOptions withEps(double eps) {
    return new AdamOptions(lr, beta1, beta2, eps, weightDecay);
  }

  /** These settings with another weightDecay. */
  public AdamOptions withWeightDecay(double weightDecay) {
    return new AdamOptions(lr, beta1, beta2, eps, weightDecay);
  }
}
