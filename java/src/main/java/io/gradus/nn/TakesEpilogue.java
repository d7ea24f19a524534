package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A module that can add a tensor to its result and apply an activation in the same pass over
 * memory. {@link Sequential} and {@link Residual} fold what follows into it.
 */
public interface TakesEpilogue {
  /** Whether it can at present; false where a hook wants to see the plain result. */
  boolean takesEpilogue();

  /**
   * activation(forward(x) + residual).
   *
   * @param x the module's input
   * @param residual of the result's shape, or null
   * @param activation applied last
   */
  Tensor forward(Tensor x, @Nullable Tensor residual, Activation activation);
}
