package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.LossOps;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Cross-entropy of class labels. */
interface PluginLoss extends PluginCalls, LossOps {
  @Override
  default void crossEntropyForward(
      Buffer logits,
      Buffer target,
      @Nullable Buffer weight,
      Buffer loss,
      Buffer rowWeight,
      Buffer logSum,
      long rows,
      long classes,
      double smoothing,
      long ignored) {
    Call c = call();
    if (!accumulates(logits, loss, weight)
        || !c.ran(
            Native.gr_cross_entropy_forward(
                c.at(logits),
                c.at(target),
                c.at(weight),
                c.at(loss),
                c.at(rowWeight),
                c.at(logSum),
                rows,
                classes,
                smoothing,
                ignored,
                Call.type(logits),
                stream()))) {
      LossOps.super.crossEntropyForward(
          logits, target, weight, loss, rowWeight, logSum, rows, classes, smoothing, ignored);
    }
  }

  @Override
  default void crossEntropyBackward(
      Buffer gradLoss,
      Buffer logits,
      Buffer logSum,
      Buffer target,
      @Nullable Buffer weight,
      Buffer gradLogits,
      long rows,
      long classes,
      double smoothing,
      long ignored) {
    Call c = call();
    if (!accumulates(logits, gradLoss, weight)
        || !c.ran(
            Native.gr_cross_entropy_backward(
                c.at(gradLoss),
                c.at(logits),
                c.at(logSum),
                c.at(target),
                c.at(weight),
                c.at(gradLogits),
                rows,
                classes,
                smoothing,
                ignored,
                Call.type(logits),
                stream()))) {
      LossOps.super.crossEntropyBackward(
          gradLoss, logits, logSum, target, weight, gradLogits, rows, classes, smoothing, ignored);
    }
  }

  /** Whether all but the logits have the type that the kernels accumulate in. */
  private static boolean accumulates(Buffer logits, Buffer loss, @Nullable Buffer weight) {
    DType wide = logits.dtype().isHalf() ? DType.FLOAT32 : logits.dtype();
    return loss.dtype() == wide && (weight == null || weight.dtype() == wide);
  }
}
