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

  /**
   * To whom {@link #lendGrad} gave the buffer, for a gradient that has not arrived yet and that
   * includes what is to be kept of it; null where it is not lent.
   */
  private @Nullable Loans borrower;

  /** The gradient of a backward inside of the borrower's. */
  private @Nullable Tensor meanwhile;

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
   * The buffer that the next gradient would overwrite or be added to, so that this is done where it
   * is computed; null where there is none that fits, or another gradient is being computed there.
   *
   * @param adds whether the borrower would add to it
   */
  @Nullable Tensor lendGrad(Backend backend, DType dtype, Shape shape, boolean adds, Loans loans) {
    Tensor place = grad;
    if (borrower != null
        || place == null
        || gradStale == adds
        || !hooks.isEmpty()
        || !place.isOn(backend)
        || place.dtype() != dtype
        || !place.isContiguous()
        || !place.shape().equals(shape)) {
      return null;
    }
    borrower = loans;
    loans.add(this);
    return place.view(shape, place.stridesInternal(), place.offset());
  }

  /** The gradient that the buffer was lent for never arrives. */
  void takeBack(Loans loans) {
    if (borrower == loans) {
      settle();
    }
  }

  private void settle() {
    borrower = null;
    if (meanwhile != null) {
      meanwhile.close();
      meanwhile = null;
    }
  }

  /** Makes what is in {@link #grad} a buffer for the next gradient. */
  void outdateGrad() {
    gradStale = true;
    settle();
  }

  /**
   * Adds a gradient to {@link #grad}, or makes it the gradient where there is none.
   *
   * @param loans of the backward that it comes from
   */
  void accumulate(Tensor gradient, @Nullable Loans loans) {
    Tensor old = grad;
    if (borrower != null && borrower != loans) {
      // The buffer is in use: what comes now is added when that gradient arrives.
      Tensor before = meanwhile;
      meanwhile = Scope.escape(before == null ? gradient.copy() : before.add(gradient));
      if (before != null) {
        before.close();
      }
      return;
    }
    if (old == null) {
      grad = Scope.escape(GradMode.isEnabled() ? gradient.alias() : gradient.copy());
    } else if (gradStale || borrower != null) {
      if (borrower != null && gradient.holds(old.memory()) && gradient.offset() == old.offset()) {
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
    if (old != null && meanwhile != null) {
      old.addInPlace(meanwhile);
    }
    gradStale = false;
    settle();
  }
}
