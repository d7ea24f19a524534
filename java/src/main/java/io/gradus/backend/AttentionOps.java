package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Scaled dot-product attention. With S = scale q k^T, minus infinity where a query does not see a
 * key, and D the dropout factors, 0 or 1 / (1 - p):
 *
 * <pre>{@code
 * P = softmax(S) along the keys;  out = (P D) v;  logSumExp = log(sum(exp(S)))
 * }</pre>
 *
 * A query without any key has P = 0, out = 0 and logSumExp minus infinity. Element (b, h, i, j) of
 * D is drawn as {@link DropoutMask} says with index {@code ((b heads + h) queries + i) keys + j}.
 * Extents of {@link AttentionShape} are at least 1. 16-bit types compute in FLOAT32, which is also
 * the type of logSumExp then. The default bodies hold S in memory; a kernel need not.
 */
public interface AttentionOps extends Primitives {
  /**
   * The attention.
   *
   * @param q [batch, heads, queries, dim]
   * @param k [batch, kvHeads, keys, dim]
   * @param v [batch, kvHeads, keys, dim]
   * @param rng INT64 [seed, base], on the device; may be null where p is 0
   * @param out [batch, heads, queries, dim]
   * @param logSumExp [batch, heads, queries]
   * @param shape sizes
   * @param scale factor of the products
   * @param stream number of the random operation
   * @param p probability of dropping a weight, 0 to 1
   */
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
    DType dtype = logSumExp.dtype();
    try (Scratch scratch = new Scratch(this)) {
      AttentionWeights m = new AttentionWeights(this, scratch, dtype, shape);
      Buffer scores = m.scores(scratch.as(dtype, q), scratch.as(dtype, k), scale);
      m.logSumExp(scores, logSumExp);
      Buffer kept = m.kept(rng, stream, p);
      Buffer weights = m.drop(m.softmax(scores), kept, p);
      cast(m.overKeys(weights, scratch.as(dtype, v)), out);
    }
  }

  /**
   * Gradients of {@link #attentionForward}; sums over the heads that share a key head are part of
   * gradK and gradV.
   *
   * <pre>{@code
   * gradV = (P D)^T gradOut;  gradP = (gradOut v^T) D
   * gradS = P (gradP - delta), delta = sum(gradP P) along the keys = sum(gradOut out) along dim
   * gradQ = scale gradS k;  gradK = scale gradS^T q
   * }</pre>
   *
   * @param gradOut [batch, heads, queries, dim]
   * @param q [batch, heads, queries, dim]
   * @param k [batch, kvHeads, keys, dim]
   * @param v [batch, kvHeads, keys, dim]
   * @param out the output, [batch, heads, queries, dim]; the default body forms delta without it
   * @param logSumExp of the forward, [batch, heads, queries]: P = exp(S - logSumExp); the default
   *     body forms the softmax again, which is more accurate where S is large
   * @param rng INT64 [seed, base], on the device; may be null where p is 0
   * @param gradQ [batch, heads, queries, dim]
   * @param gradK [batch, kvHeads, keys, dim]
   * @param gradV [batch, kvHeads, keys, dim]
   * @param shape sizes
   * @param scale factor of the products
   * @param stream number of the random operation, that of the forward
   * @param p probability of dropping a weight, 0 to 1
   */
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
    DType dtype = logSumExp.dtype();
    try (Scratch scratch = new Scratch(this)) {
      AttentionWeights m = new AttentionWeights(this, scratch, dtype, shape);
      Buffer wideQ = scratch.as(dtype, q);
      Buffer wideK = scratch.as(dtype, k);
      Buffer g = scratch.as(dtype, gradOut);
      Buffer weights = m.softmax(m.scores(wideQ, wideK, scale));
      Buffer kept = m.kept(rng, stream, p);
      cast(m.overQueries(m.drop(weights, kept, p), g), gradV);
      Buffer gradWeights = m.drop(m.products(g, scratch.as(dtype, v)), kept, p);
      Buffer gradScores = m.softmaxGradient(gradWeights, weights, scale);
      cast(m.overKeys(gradScores, wideK), gradQ);
      cast(m.overQueries(gradScores, wideQ), gradK);
    }
  }
}
