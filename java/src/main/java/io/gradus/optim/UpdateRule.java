package io.gradus.optim;

import io.gradus.tensor.Tensor;

/**
 * How an optimizer changes a run of parameters. The tensors have one type and one shape: a vector
 * of all parameters of the run, or, where the rule takes parameters singly, the parameter's own.
 */
@FunctionalInterface
public interface UpdateRule {
  /**
   * Changes the parameters in place.
   *
   * @param param parameters
   * @param grad their gradients
   * @param lr learning rate, FLOAT64 []
   * @param step number of this step, from 1, INT64 [1]
   * @param state the states, in the order of their names
   */
  void apply(Tensor param, Tensor grad, Tensor lr, Tensor step, Tensor[] state);
}
