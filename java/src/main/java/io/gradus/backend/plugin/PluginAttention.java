package io.gradus.backend.plugin;

import io.gradus.backend.AttentionOps;
import io.gradus.backend.AttentionShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.plugin.jni.Native;
import org.jspecify.annotations.Nullable;

/** Attention without a matrix of weights in memory. */
interface PluginAttention extends PluginCalls, AttentionOps {
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
    Call c = call();
    if (!c.ran(
        Native.gr_attention_forward(
            c.at(q),
            c.at(k),
            c.at(v),
            p == 0 ? 0 : c.at(rng),
            c.at(out),
            c.at(logSumExp),
            problem(c, shape, scale, stream, p),
            Call.type(q),
            stream()))) {
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
    Call c = call();
    int type = Call.type(q);
    long bytes =
        Native.gr_attention_backward_scratch(problem(c, shape, scale, stream, p), type, stream());
    try (Room room = room(bytes)) {
      if (!c.ran(
          Native.gr_attention_backward(
              c.at(gradOut),
              c.at(q),
              c.at(k),
              c.at(v),
              c.at(out),
              c.at(logSumExp),
              p == 0 ? 0 : c.at(rng),
              c.at(gradQ),
              c.at(gradK),
              c.at(gradV),
              room.address(),
              room.bytes(),
              problem(c, shape, scale, stream, p),
              type,
              stream()))) {
        AttentionOps.super.attentionBackward(
            gradOut, q, k, v, out, logSumExp, rng, gradQ, gradK, gradV, shape, scale, stream, p);
      }
    }
  }

  /** A gr_attention_problem of dense operands. */
  private static long problem(Call c, AttentionShape s, double scale, long stream, double p) {
    c.struct()
        .put(s.batch())
        .put(s.heads())
        .put(s.kvHeads())
        .put(s.queries())
        .put(s.keys())
        .put(s.dim())
        .put(s.causal())
        .put(0L)
        .put(stream);
    // The strides of q, k, v, out and of the gradients of out, q, k, v.
    queries(c, s);
    keys(c, s);
    keys(c, s);
    queries(c, s);
    queries(c, s);
    queries(c, s);
    keys(c, s);
    keys(c, s);
    return c.put(scale).put(p).address();
  }

  private static void queries(Call c, AttentionShape s) {
    c.put(s.heads() * s.queries() * s.dim()).put(s.queries() * s.dim()).put(s.dim());
  }

  private static void keys(Call c, AttentionShape s) {
    c.put(s.kvHeads() * s.keys() * s.dim()).put(s.keys() * s.dim()).put(s.dim());
  }
}
