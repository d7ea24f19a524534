package io.gradus.backend.reference;

import io.gradus.backend.Buffer;
import io.gradus.backend.SoftmaxOps;
import io.gradus.core.DType;

/** Softmax along the last axis in float32 loops; else the default bodies. */
interface ReferenceSoftmax extends SoftmaxOps {
  /** The threads that share the work. */
  Parallel pool();

  private static boolean isFast(Buffer x, long n, long inner) {
    return x.dtype() == DType.FLOAT32 && inner == 1 && n > 0;
  }

  @Override
  default void softmaxForward(Buffer x, Buffer y, long outer, long n, long inner) {
    if (isFast(x, n, inner)) {
      SoftmaxKernels.rows(pool(), outer, n, (row) -> SoftmaxKernels.softmax(x, y, row, (int) n));
    } else {
      SoftmaxOps.super.softmaxForward(x, y, outer, n, inner);
    }
  }

  @Override
  default void logSoftmaxForward(Buffer x, Buffer y, long outer, long n, long inner) {
    if (isFast(x, n, inner)) {
      SoftmaxKernels.rows(pool(), outer, n, (row) -> SoftmaxKernels.logSoftmax(x, y, row, (int) n));
    } else {
      SoftmaxOps.super.logSoftmaxForward(x, y, outer, n, inner);
    }
  }

  @Override
  default void softmaxBackward(
      Buffer gradY, Buffer y, Buffer gradX, long outer, long n, long inner) {
    if (isFast(y, n, inner)) {
      SoftmaxKernels.rows(
          pool(), outer, n, (row) -> SoftmaxKernels.softmaxGradient(gradY, y, gradX, row, (int) n));
    } else {
      SoftmaxOps.super.softmaxBackward(gradY, y, gradX, outer, n, inner);
    }
  }

  @Override
  default void logSoftmaxBackward(
      Buffer gradY, Buffer y, Buffer gradX, long outer, long n, long inner) {
    if (isFast(y, n, inner)) {
      SoftmaxKernels.rows(
          pool(),
          outer,
          n,
          (row) -> SoftmaxKernels.logSoftmaxGradient(gradY, y, gradX, row, (int) n));
    } else {
      SoftmaxOps.super.logSoftmaxBackward(gradY, y, gradX, outer, n, inner);
    }
  }
}
