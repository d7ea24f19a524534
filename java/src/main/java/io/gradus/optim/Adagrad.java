package io.gradus.optim;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.List;

/**
 * Adagrad: the rate of every weight falls with the sum of its squared gradients.
 *
 * <pre>{@code
 * g = grad + weightDecay w;    s = s + g^2
 * w = w - lr / (1 + (t - 1) lrDecay) g / (sqrt(s) + eps)
 * }</pre>
 *
 * <p>Source: Duchi, Hazan, Singer, "Adaptive subgradient methods", JMLR 12, 2011.
 *
 * <pre>{@code
 * Optimizer optimizer = new Adagrad(model.parameters(), 1e-2);
 * }</pre>
 */
public final class Adagrad extends Optimizer {
  /**
   * Settings of a group.
   *
   * @param lr learning rate
   * @param lrDecay decay of the learning rate by step
   * @param weightDecay factor of the weights in the gradient (L2)
   * @param initialSum what the sums of squares start from
   * @param eps added to the root
   */
  public record Options(
      double lr, double lrDecay, double weightDecay, double initialSum, double eps) {
    /** Checks the ranges. */
    public Options {
      ParameterGroup.checkLr(lr);
      Checks.argument(lrDecay >= 0, "[adagrad] lrDecay %s must be >= 0", lrDecay);
      Checks.argument(weightDecay >= 0, "[adagrad] weightDecay %s must be >= 0", weightDecay);
      Checks.argument(initialSum >= 0, "[adagrad] initialSum %s must be >= 0", initialSum);
      Checks.argument(eps >= 0, "[adagrad] eps %s must be >= 0", eps);
    }

    /** The defaults at a learning rate: lrDecay 0, weightDecay 0, initialSum 0, eps 1e-10. */
    public static Options of(double lr) {
      return new Options(lr, 0, 0, 0, 1e-10);
    }

    /** These settings with another lrDecay. */
    public Options withLrDecay(double lrDecay) {
      return new Options(lr, lrDecay, weightDecay, initialSum, eps);
    }

    /** These settings with another weightDecay. */
    public Options withWeightDecay(double weightDecay) {
      return new Options(lr, lrDecay, weightDecay, initialSum, eps);
    }

    /** These settings with another initialSum. */
    public Options withInitialSum(double initialSum) {
      return new Options(lr, lrDecay, weightDecay, initialSum, eps);
    }

    /** These settings with another eps. */
    public Options withEps(double eps) {
      return new Options(lr, lrDecay, weightDecay, initialSum, eps);
    }
  }

  /** An optimizer of one group with the default settings. */
  public Adagrad(List<Tensor> params, double lr) {
    this(params, Options.of(lr));
  }

  /** An optimizer of one group. */
  public Adagrad(List<Tensor> params, Options options) {
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
            Updates.adagrad(
                param,
                grad,
                state[0],
                lr,
                step,
                options.lrDecay,
                options.eps,
                options.weightDecay,
                foundInf);
    ParameterGroup group = addGroup(params, options.lr, rule, List.of("sum"));
    group.fillState(0, options.initialSum);
    return group;
  }
}
