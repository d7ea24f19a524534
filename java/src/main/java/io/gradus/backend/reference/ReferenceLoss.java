package io.gradus.backend.reference;

import io.gradus.backend.Buffer;
import io.gradus.backend.LossOps;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Cross-entropy in float32 loops; other types take the default bodies. */
interface ReferenceLoss extends LossOps {
  /** The threads that share the work. */
  Parallel pool();

  private static boolean isFloat(Buffer a, Buffer b, @Nullable Buffer c) {
    return a.dtype() == DType.FLOAT32
        && b.dtype() == DType.FLOAT32
        && (c == null || c.dtype() == DType.FLOAT32);
  }

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
    if (isFloat(logits, loss, weight)) {
      CrossEntropyKernels kernels =
          new CrossEntropyKernels(logits, target, weight, classes, smoothing, ignored);
      SoftmaxKernels.rows(
          pool(), rows, classes, (row) -> kernels.forward(row, loss, rowWeight, logSum));
    } else {
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
    if (isFloat(logits, gradLoss, weight)) {
      CrossEntropyKernels kernels =
          new CrossEntropyKernels(logits, target, weight, classes, smoothing, ignored);
      SoftmaxKernels.rows(
          pool(), rows, classes, (row) -> kernels.backward(row, gradLoss, logSum, gradLogits));
    } else {
      LossOps.super.crossEntropyBackward(
          gradLoss, logits, logSum, target, weight, gradLogits, rows, classes, smoothing, ignored);
    }
  }
}
