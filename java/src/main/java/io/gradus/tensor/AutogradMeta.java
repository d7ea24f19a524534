package io.gradus.tensor;

import io.gradus.core.Checks;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** What autograd knows of a tensor; shared by all handles of the same value. */
final class AutogradMeta {
  boolean requiresGrad;

  /** The function that made this value, or null for a leaf. */
  @Nullable Function producer;

  /** Which output of the producer this is. */
  int outputIndex;

  @Nullable Tensor grad;

  /** Whether {@link #grad} is a buffer to be overwritten by the next gradient. */
  boolean gradStale;

  boolean retainGrad;
  @Nullable AccumulateGrad accumulator;
  final List<UnaryOperator<Tensor>> hooks = new ArrayList<>(0);

  /** Applies the hooks in the order of their registration. */
  Tensor runHooks(Tensor gradient) {
    Tensor g = gradient;
    for (UnaryOperator<Tensor> hook : List.copyOf(hooks)) {
      Tensor replaced = hook.apply(g);
      if (replaced != null) {
        Checks.shape(
            replaced.shape().equals(g.shape()),
            "[hook] a hook gave a gradient of shape %s in place of %s",
            replaced.shape(),
            g.shape());
        g = replaced;
      }
    }
    return g;
  }

  /** Adds a gradient to {@link #grad}, or makes it the gradient where there is none. */
  void accumulate(Tensor gradient) {
    Tensor old = grad;
    if (old == null) {
      grad = Scope.escape(GradMode.isEnabled() ? gradient.alias() : gradient.copy());
    } else if (gradStale) {
      try (GradMode.Guard g = GradMode.noGrad()) {
        old.copyFrom(gradient);
      }
    } else if (GradMode.isEnabled()) {
      grad = Scope.escape(old.add(gradient));
    } else {
      old.addInPlace(gradient);
    }
    gradStale = false;
  }
}
