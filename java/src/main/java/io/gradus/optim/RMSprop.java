package io.gradus.optim;

import io.gradus.backend.RmsPropScalars;
import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.ArrayList;
import java.util.List;

/**
 * RMSprop, optionally centered and with momentum.
 *
 * <pre>{@code
 * g = grad + weightDecay w
 * s = alpha s + (1 - alpha) g^2;    a = centered ? alpha a + (1 - alpha) g : 0
 * d = g / (sqrt(s - a^2) + eps);    b = momentum b + d
 * w = w - lr b
 * }</pre>
 *
 * <p>eps stands outside the root, as in PyTorch; some texts have it inside.
 *
 * <p>Source: Tieleman, Hinton, COURSERA Neural Networks for Machine Learning, lecture 6.5, 2012;
 * centered: Graves, arXiv:1308.0850.
 *
 * <pre>{@code
 * Optimizer optimizer = new RMSprop(params, RMSprop.Options.of(1e-2).withMomentum(0.9));
 * }</pre>
 */
public final class RMSprop extends Optimizer {
  /**
   * Settings of a group.
   *
   * @param lr learning rate
   * @param alpha decay of the means
   * @param eps added to the root
   * @param weightDecay factor of the weights in the gradient (L2)
   * @param momentum weight of the past directions, 0 for none
   * @param centered whether the squared mean of gradients is subtracted
   */
  public record Options(
      double lr, double alpha, double eps, double weightDecay, double momentum, boolean centered) {
    /** Checks the ranges. */
    public Options {
      ParameterGroup.checkLr(lr);
      Checks.argument(0 <= alpha && alpha < 1, "[rmsProp] alpha %s must be in [0, 1)", alpha);
      Checks.argument(eps >= 0, "[rmsProp] eps %s must be >= 0", eps);
      Checks.argument(weightDecay >= 0, "[rmsProp] weightDecay %s must be >= 0", weightDecay);
      Checks.argument(momentum >= 0, "[rmsProp] momentum %s must be >= 0", momentum);
    }

    /**
     * The defaults at a learning rate: alpha 0.99, eps 1e-8, weightDecay 0, momentum 0, centered
     * false.
     */
    public static Options of(double lr) {
      return new Options(lr, 0.99, 1e-8, 0, 0, false);
    }

    /** These settings with another alpha. */
    public Options withAlpha(double alpha) {
      return new Options(lr, alpha, eps, weightDecay, momentum, centered);
    }

    /** These settings with another eps. */
    public Options withEps(double eps) {
      return new Options(lr, alpha, eps, weightDecay, momentum, centered);
    }

    /** These settings with another weightDecay. */
    public Options withWeightDecay(double weightDecay) {
      return new Options(lr, alpha, eps, weightDecay, momentum, centered);
    }

    /** These settings with another momentum. */
    public Options withMomentum(double momentum) {
      return new Options(lr, alpha, eps, weightDecay, momentum, centered);
    }

    /** These settings with another centered. */
    public Options withCentered(boolean centered) {
      return new Options(lr, alpha, eps, weightDecay, momentum, centered);
    }
  }

  /** An optimizer of one group with the default settings. */
  public RMSprop(List<Tensor> params, double lr) {
    this(params, Options.of(lr));
  }

  /** An optimizer of one group. */
  public RMSprop(List<Tensor> params, Options options) {
    add(params, options);
  }

  /**
   * Adds a group with settings of its own.
   *
   * @return the group
   */
  public ParameterGroup add(List<Tensor> params, Options options) {
    List<String> states = new ArrayList<>(List.of("square_avg"));
    if (options.centered) {
      states.add("grad_avg");
    }
    if (options.momentum != 0) {
      states.add("momentum_buffer");
    }
    RmsPropScalars scalars =
        new RmsPropScalars(options.alpha, options.eps, options.momentum, options.weightDecay);
    SkippableRule rule =
        (param, grad, lr, step, state, foundInf) ->
            Updates.rmsProp(
                param,
                grad,
                state[0],
                options.centered ? state[1] : null,
                options.momentum != 0 ? state[state.length - 1] : null,
                lr,
                scalars,
                foundInf);
    return addGroup(params, options.lr, rule, states);
  }
}
