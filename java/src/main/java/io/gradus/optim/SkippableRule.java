package io.gradus.optim;

import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * An {@link UpdateRule} whose kernels leave a step out by themselves, by a flag on the device: the
 * rule need not be undone where a {@link LossScaler} finds an overflow.
 */
@FunctionalInterface
public interface SkippableRule extends UpdateRule {
  /**
   * As {@link UpdateRule#apply}, unless the flag is set: then neither parameters nor states change.
   *
   * @param foundInf INT32 [], not 0 where the step is to be left out; null for never
   */
  void apply(
      Tensor param, Tensor grad, Tensor lr, Tensor step, Tensor[] state, @Nullable Tensor foundInf);

  @Override
  default void apply(Tensor param, Tensor grad, Tensor lr, Tensor step, Tensor[] state) {
    apply(param, grad, lr, step, state, null);
  }
}
