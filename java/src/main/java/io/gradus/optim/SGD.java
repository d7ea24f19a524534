package io.gradus.optim;

import io.gradus.backend.SgdScalars;
import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.List;

/**
 * Stochastic gradient descent, with momentum, Nesterov momentum, dampening and weight decay (L2).
 *
 * <pre>{@code
 * g = grad + weightDecay w
 * b = g at the first step, else momentum b + (1 - dampening) g
 * w = w - lr (nesterov ? g + momentum b : b)
 * }</pre>
 *
 * <p>The learning rate multiplies the momentum buffer, as in PyTorch; the texts that put it inside
 * (b = momentum b - lr g) differ when the rate changes.
 *
 * <p>Source: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum",
 * ICML 2013.
 *
 * <pre>{@code
 * Optimizer optimizer = new SGD(params, SGD.Options.of(0.1).withMomentum(0.9).withNesterov(true));
 * }</pre>
 */
public final class SGD extends Optimizer {
  /**
   * Settings of a group.
   *
   * @param lr learning rate
   * @param momentum weight of the past steps, 0 for none
   * @param dampening what is taken from the weight of the gradient in the momentum
   * @param weightDecay factor of the weights in the gradient (L2)
   * @param nesterov whether to look ahead along the momentum
   */
  public record Options(
      double lr, double momentum, double dampening, double weightDecay, boolean nesterov) {
    /** Checks the ranges. */
    public Options {
      ParameterGroup.checkLr(lr);
      Checks.argument(momentum >= 0, "[sgd] momentum %s must be >= 0", momentum);
      Checks.argument(weightDecay >= 0, "[sgd] weightDecay %s must be >= 0", weightDecay);
      Checks.argument(
          !nesterov || (momentum > 0 && dampening == 0),
          "[sgd] nesterov needs momentum above 0 and no dampening, not %s and %s",
          momentum,
          dampening);
    }

    /** The defaults at a learning rate: momentum 0, dampening 0, weightDecay 0, nesterov false. */
    public static Options of(double lr) {
      return new Options(lr, 0, 0, 0, false);
    }

    /** These settings with another momentum. */
    public Options withMomentum(double momentum) {
      return new Options(lr, momentum, dampening, weightDecay, nesterov);
    }

    /** These settings with another dampening. */
    public Options withDampening(double dampening) {
      return new Options(lr, momentum, dampening, weightDecay, nesterov);
    }

    /** These settings with another weightDecay. */
    public Options withWeightDecay(double weightDecay) {
      return new Options(lr, momentum, dampening, weightDecay, nesterov);
    }

    /** These settings with another nesterov. */
    public Options withNesterov(boolean nesterov) {
      return new Options(lr, momentum, dampening, weightDecay, nesterov);
    }
  }

  /** An optimizer of one group with the default settings. */
  public SGD(List<Tensor> params, double lr) {
    this(params, Options.of(lr));
  }

  /** An optimizer of one group. */
  public SGD(List<Tensor> params, Options options) {
    add(params, options);
  }

  /**
   * Adds a group with settings of its own.
   *
   * @return the group
   */
  public ParameterGroup add(List<Tensor> params, Options options) {
    return addGroup(params, options.lr, rule(options), states(options));
  }

  /** What a step does. */
  static SkippableRule rule(Options options) {
    boolean hasMomentum = options.momentum != 0;
    SgdScalars scalars =
        new SgdScalars(options.momentum, options.dampening, options.weightDecay, options.nesterov);
    return (param, grad, lr, step, state, foundInf) ->
        Updates.sgd(param, grad, hasMomentum ? state[0] : null, lr, step, scalars, foundInf);
  }

  /** The states of the rule. */
  static List<String> states(Options options) {
    return options.momentum == 0 ? List.of() : List.of("momentum_buffer");
  }
}
