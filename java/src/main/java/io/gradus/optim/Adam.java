package io.gradus.optim;

import io.gradus.backend.AdamScalars;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.List;

/**
 * Adam; weight decay is a part of the gradient (L2). {@link AdamW} has it decoupled.
 *
 * <pre>{@code
 * g = grad + weightDecay w
 * m = beta1 m + (1 - beta1) g;    v = beta2 v + (1 - beta2) g^2
 * w = w - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
 * }</pre>
 *
 * <p>Source: Kingma, Ba, "Adam: A method for stochastic optimization", ICLR 2015.
 *
 * <pre>{@code
 * Optimizer optimizer = new Adam(model.parameters(), 1e-3);
 * }</pre>
 */
public final class Adam extends Optimizer {
  /** An optimizer of one group with the default settings. */
  public Adam(List<Tensor> params, double lr) {
    this(params, AdamOptions.of(lr));
  }

  /** An optimizer of one group. */
  public Adam(List<Tensor> params, AdamOptions options) {
    add(params, options);
  }

  /**
   * Adds a group with settings of its own.
   *
   * @return the group
   */
  public ParameterGroup add(List<Tensor> params, AdamOptions options) {
    AdamScalars scalars = options.scalars(false);
    SkippableRule rule =
        (param, grad, lr, step, state, foundInf) ->
            Updates.adam(param, grad, state[0], state[1], lr, step, scalars, foundInf);
    return addGroup(params, options.lr(), rule, List.of("exp_avg", "exp_avg_sq"));
  }
}
