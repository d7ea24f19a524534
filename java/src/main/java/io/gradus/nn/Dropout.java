package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;

/**
 * Sets elements to 0 with probability p in training and scales the others by 1 / (1 - p).
 *
 * <p>Shapes: any. Some texts name the share that is kept, and scale in evaluation instead. Source:
 * Srivastava et al., JMLR 15, 2014.
 */
public final class Dropout extends Module {
  private final double p;

  /**
   * Dropping with probability p.
   *
   * @throws io.gradus.core.ArgumentException when p is not in [0, 1]
   */
  public Dropout(double p) {
    Checks.argument(0 <= p && p <= 1, "[dropout] p %s must be in [0, 1]", p);
    this.p = p;
  }

  @Override
  public Tensor forward(Tensor x) {
    return io.gradus.tensor.Dropout.dropout(x, p, isTraining());
  }

  @Override
  protected String describe() {
    return "Dropout(" + p + ")";
  }
}
