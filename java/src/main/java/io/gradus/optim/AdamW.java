package io.gradus.optim;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.List;

/**
 * Adam with decoupled weight decay: the weights shrink by (1 - lr weightDecay), whatever the
 * gradient and its moments.
 *
 * <pre>{@code
 * w = w (1 - lr weightDecay)
 * m = beta1 m + (1 - beta1) g;    v = beta2 v + (1 - beta2) g^2
 * w = w - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
 * }</pre>
 *
 * <p>The paper writes w (1 - eta lambda) with a schedule multiplier eta apart from the rate; here,
 * as in PyTorch, the decay follows the learning rate.
 *
 * <p>Source: Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019.
 *
 * <pre>{@code
 * AdamW optimizer = new AdamW(weights, AdamW.Options.of(1e-3).withWeightDecay(0.05));
 * optimizer.add(biases, AdamW.Options.of(1e-3).withWeightDecay(0));
 * }</pre>
 */
public final class AdamW extends Optimizer {
  /**
   * Settings of a group.
   *
   * @param lr learning rate
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment
   * @param eps added to the root of the second moment
   * @param weightDecay weight decay
   */
  public record Options(double lr, double beta1, double beta2, double eps, double weightDecay) {
    /** Checks the ranges. */
    public Options {
      ParameterGroup.checkLr(lr);
      Checks.argument(0 <= beta1 && beta1 < 1, "[adamW] beta1 %s must be in [0, 1)", beta1);
      Checks.argument(0 <= beta2 && beta2 < 1, "[adamW] beta2 %s must be in [0, 1)", beta2);
      Checks.argument(eps >= 0, "[adamW] eps %s must be >= 0", eps);
      Checks.argument(weightDecay >= 0, "[adamW] weightDecay %s must be >= 0", weightDecay);
    }

    /** The defaults at a learning rate: beta1 0.9, beta2 0.999, eps 1e-8, weightDecay 0.01. */
    public static Options of(double lr) {
      return new Options(lr, 0.9, 0.999, 1e-8, 0.01);
    }

    /** These settings with other decays of the moments. */
    public Options withBetas(double beta1, double beta2) {
      return new Options(lr, beta1, beta2, eps, weightDecay);
    }

    /** These settings with another eps. */
    public Options withEps(double eps) {
      return new Options(lr, beta1, beta2, eps, weightDecay);
    }

    /** These settings with another weightDecay. */
    public Options withWeightDecay(double weightDecay) {
      return new Options(lr, beta1, beta2, eps, weightDecay);
    }
  }

  /** An optimizer of one group with the default settings. */
  public AdamW(List<Tensor> params, double lr) {
    this(params, Options.of(lr));
  }

  /** An optimizer of one group. */
  public AdamW(List<Tensor> params, Options options) {
    add(params, options);
  }

  /**
   * Adds a group with settings of its own.
   *
   * @return the group
   */
  public ParameterGroup add(List<Tensor> params, Options options) {
    return addGroup(
        params,
        options.lr,
        (param, grad, lr, step, state) ->
            Updates.adamW(
                param,
                grad,
                state[0],
                state[1],
                lr,
                step,
                options.beta1,
                options.beta2,
                options.eps,
                options.weightDecay),
        List.of("exp_avg", "exp_avg_sq"));
  }
}
