package io.gradus.optim;

import io.gradus.backend.AdamScalars;
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
 * AdamW optimizer = new AdamW(weights, AdamOptions.of(1e-3).withWeightDecay(0.05));
 * optimizer.add(biases, AdamOptions.of(1e-3).withWeightDecay(0));
 * }</pre>
 */
public final class AdamW extends Optimizer {
  /** The states of the rule. */
  static final List<String> STATES = List.of("exp_avg", "exp_avg_sq");

  private static final double DEFAULT_WEIGHT_DECAY = 0.01;

  /**
   * An optimizer of one group with the defaults of {@link AdamOptions} and a weight decay of 0.01.
   */
  public AdamW(List<Tensor> params, double lr) {
    this(params, AdamOptions.of(lr).withWeightDecay(DEFAULT_WEIGHT_DECAY));
  }

  /** An optimizer of one group. */
  public AdamW(List<Tensor> params, AdamOptions options) {
    add(params, options);
  }

  /**
   * Adds a group with settings of its own.
   *
   * @return the group
   */
  public ParameterGroup add(List<Tensor> params, AdamOptions options) {
    return addGroup(params, options.lr(), rule(options), STATES);
  }

  /** What a step does. */
  static SkippableRule rule(AdamOptions options) {
    AdamScalars scalars = options.scalars(true);
    return (param, grad, lr, step, state, foundInf) ->
        Updates.adam(param, grad, state[0], state[1], lr, step, scalars, foundInf);
  }
}
