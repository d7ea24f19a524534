package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
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

  /** Whether {@link #lendGrad} gave the buffer to a gradient that has not arrived yet. */
  private boolean lent;

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

  /**
   * The buffer that the next gradient would overwrite, so that it can be computed there; null where
   * there is none that fits, or another gradient is being computed there.
   */
  @Nullable Tensor lendGrad(Backend backend, DType dtype, Shape shape) {
    Tensor place = grad;
    if (lent
        || place == null
        || !gradStale
        || !hooks.isEmpty()
        || !place.isOn(backend)
        || place.dtype() != dtype
        || !place.isContiguous()
        || !place.shape().equals(shape)) {
      return null;
    }
    lent = true;
    return place.view(shape, place.stridesInternal(), place.offset());
  }

  /** Makes what is in {@link #grad} a buffer for the next gradient. */
  void outdateGrad() {
    gradStale = true;
    lent = false;
  }

  /** Adds a gradient to {@link #grad}, or makes it the gradient where there is none. */
  void accumulate(Tensor gradient) {
    Tensor old = grad;
    if (old == null) {
      grad = Scope.escape(GradMode.isEnabled() ? gradient.alias() : gradient.copy());
    } else if (gradStale) {
      if (lent && gradient.holds(old.memory()) && gradient.offset() == old.offset()) {
        old.memory().bumpVersion();
      } else {
        try (GradMode.Guard g = GradMode.noGrad()) {
          old.copyFrom(gradient);
        }
      }
    } else if (GradMode.isEnabled()) {
      grad = Scope.escape(old.add(gradient));
    } else {
      old.addInPlace(gradient);
    }
    gradStale = false;
    lent = false;
  }
}
