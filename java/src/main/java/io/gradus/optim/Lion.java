package io.gradus.optim;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.List;

/**
 * Lion: every weight moves by the learning rate in the direction of an average of the gradient. It
 * keeps one state where {@link AdamW} keeps two.
 *
 * <pre>{@code
 * u = sign(beta1 m + (1 - beta1) g)
 * w = w (1 - lr weightDecay) - lr u
 * m = beta2 m + (1 - beta2) g
 * }</pre>
 *
 * <p>The paper advises a learning rate 3 to 10 times smaller, and a weight decay as much larger,
 * than AdamW's.
 *
 * <p>Source: Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.
 *
 * <pre>{@code
 * Optimizer optimizer = new Lion(model.parameters(), Lion.Options.of(1e-4).withWeightDecay(0.1));
 * }</pre>
 */
public final class Lion extends Optimizer {
  /**
   * Settings of a group.
   *
   * @param lr learning rate
   * @param beta1 weight of the average in the update
   * @param beta2 decay of the average
   * @param weightDecay weight decay, decoupled from the gradient
   */
  public record Options(double lr, double beta1, double beta2, double weightDecay) {
    /** Checks the ranges. */
    public Options {
      ParameterGroup.checkLr(lr);
      Checks.argument(0 <= beta1 && beta1 < 1, "[lion] beta1 %s must be in [0, 1)", beta1);
      Checks.argument(0 <= beta2 && beta2 < 1, "[lion] beta2 %s must be in [0, 1)", beta2);
      Checks.argument(weightDecay >= 0, "[lion] weightDecay %s must be >= 0", weightDecay);
    }

    /** The defaults at a learning rate: beta1 0.9, beta2 0.99, weightDecay 0. */
    public static Options of(double lr) {
      return new Options(lr, 0.9, 0.99, 0);
    }

    /** These settings with other betas. */
    public Options withBetas(double beta1, double beta2) {
      return new Options(lr, beta1, beta2, weightDecay);
    }

    /** These settings with another weightDecay. */
    public Options withWeightDecay(double weightDecay) {
      return new Options(lr, beta1, beta2, weightDecay);
    }
  }

  /** An optimizer of one group with the default settings. */
  public Lion(List<Tensor> params, double lr) {
    this(params, Options.of(lr));
  }

  /** An optimizer of one group. */
  public Lion(List<Tensor> params, Options options) {
    add(params, options);
  }

  /**
   * Adds a group with settings of its own.
   *
   * @return the group
   */
  public ParameterGroup add(List<Tensor> params, Options options) {
    SkippableRule rule =
        (param, grad, lr, step, state, foundInf) ->
            Updates.lion(
                param,
                grad,
                state[0],
                lr,
                options.beta1,
                options.beta2,
                options.weightDecay,
                foundInf);
    return addGroup(params, options.lr, rule, List.of("exp_avg"));
  }
}
