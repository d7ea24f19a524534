package io.gradus.backend.reference;

import io.gradus.backend.AttentionOps;
import io.gradus.backend.AttentionShape;
import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Attention in float32: some heads at a time, so that the weights stay small; else the default. */
interface ReferenceAttention extends AttentionOps {
  /** The threads that share the work. */
  Parallel pool();

  private static boolean isFloat(Buffer q, Buffer k, Buffer v, Buffer logSumExp) {
    return q.dtype() == DType.FLOAT32
        && k.dtype() == DType.FLOAT32
        && v.dtype() == DType.FLOAT32
        && logSumExp.dtype() == DType.FLOAT32;
  }

  @Override
  default void attentionForward(
      Buffer q,
      Buffer k,
      Buffer v,
      @Nullable Buffer rng,
      Buffer out,
      Buffer logSumExp,
      AttentionShape shape,
      double scale,
      long stream,
      double p) {
    if (isFloat(q, k, v, logSumExp)) {
      new AttentionKernels(pool(), shape, scale, rng, stream, p).forward(q, k, v, out, logSumExp);
    } else {
      AttentionOps.super.attentionForward(q, k, v, rng, out, logSumExp, shape, scale, stream, p);
    }
  }

  @Override
  default void attentionBackward(
      Buffer gradOut,
      Buffer q,
      Buffer k,
      Buffer v,
      Buffer out,
      Buffer logSumExp,
      @Nullable Buffer rng,
      Buffer gradQ,
      Buffer gradK,
      Buffer gradV,
      AttentionShape shape,
      double scale,
      long stream,
      double p) {
    if (isFloat(q, k, v, logSumExp) && gradOut.dtype() == DType.FLOAT32) {
      new AttentionKernels(pool(), shape, scale, rng, stream, p)
          .backward(gradOut, q, k, v, gradQ, gradK, gradV);
    } else {
      AttentionOps.super.attentionBackward(
          gradOut, q, k, v, out, logSumExp, rng, gradQ, gradK, gradV, shape, scale, stream, p);
    }
  }
}
