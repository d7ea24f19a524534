package io.gradus.backend;

import io.gradus.core.DType;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Arithmetic on the matrices [batch, heads, queries, keys] of attention: the vocabulary of its
 * default bodies. The heads that share a key head lie behind each other, so that one matrix product
 * serves all of them.
 */
final class AttentionWeights {
  private final Primitives primitives;
  private final Scratch scratch;
  private final DType dtype;
  private final AttentionShape shape;
  private final long pairs;
  private final long rows;
  private final Lines lines;

  AttentionWeights(Primitives primitives, Scratch scratch, DType dtype, AttentionShape shape) {
    this.primitives = primitives;
    this.scratch = scratch;
    this.dtype = dtype;
    this.shape = shape;
    this.pairs = shape.batch() * shape.kvHeads();
    this.rows = shape.heads() / shape.kvHeads() * shape.queries();
    this.lines = new Lines(primitives, scratch, dtype, shape.rows(), shape.keys(), 1);
  }

  /** a b^T: [.., queries, dim] and [.., keys, dim] give [.., queries, keys]. */
  Buffer products(Buffer a, Buffer b) {
    return matmul(rows, shape.keys(), shape.dim(), false, true, a, b);
  }

  /** a b: [.., queries, keys] and [.., keys, dim] give [.., queries, dim]. */
  Buffer overKeys(Buffer a, Buffer b) {
    return matmul(rows, shape.dim(), shape.keys(), false, false, a, b);
  }

  /** a^T b: [.., queries, keys] and [.., queries, dim] give [.., keys, dim]. */
  Buffer overQueries(Buffer a, Buffer b) {
    return matmul(shape.keys(), shape.dim(), rows, true, false, a, b);
  }

  private Buffer matmul(
      long m, long n, long k, boolean transA, boolean transB, Buffer a, Buffer b) {
    Buffer out = scratch.take(dtype, pairs * m * n);
    primitives.matmul(
        new MatmulShape(pairs, m, n, k, transA, transB, m * k, k * n, false), a, b, out);
    return out;
  }

  /** scale q k^T, minus infinity where a query does not see a key. */
  Buffer scores(Buffer q, Buffer k, double scale) {
    Buffer scores = times(products(q, k), scale);
    if (!shape.causal()) {
      return scores;
    }
    long[] all = {shape.batch() * shape.heads(), shape.queries(), shape.keys()};
    long[] dense = {shape.queries() * shape.keys(), shape.keys(), 1};
    Buffer out = scratch.take(dtype, scores.length());
    primitives.where(
        visible(),
        new long[] {0, shape.keys(), 1},
        scores,
        dense,
        scratch.scalar(dtype, Double.NEGATIVE_INFINITY),
        new long[3],
        out,
        all);
    return out;
  }

  /** Whether a query sees a key, BOOL [queries, keys]: the key's number is below a bound. */
  private Buffer visible() {
    Buffer bounds = scratch.take(DType.INT64, shape.queries());
    long[] bound = new long[Math.toIntExact(shape.queries())];
    Arrays.setAll(bound, shape::visible);
    primitives.upload(bound, 0, bounds);
    Buffer numbers = scratch.take(DType.INT64, shape.keys());
    long[] number = new long[Math.toIntExact(shape.keys())];
    Arrays.setAll(number, j -> j);
    primitives.upload(number, 0, numbers);
    Buffer out = scratch.take(DType.BOOL, shape.queries() * shape.keys());
    primitives.compare(
        CompareOp.LT,
        numbers,
        new long[] {0, 1},
        bounds,
        new long[] {1, 0},
        out,
        new long[] {shape.queries(), shape.keys()});
    return out;
  }

  /** The logarithm of the sum of exponentials along the keys. */
  void logSumExp(Buffer scores, Buffer out) {
    Buffer shift = lines.shift(scores);
    Buffer e = lines.each(UnaryOp.EXP, lines.apply(BinaryOp.SUB, scores, shift));
    Buffer log = lines.each(UnaryOp.LOG, lines.reduce(ReduceOp.SUM, e));
    long[] step = {1};
    primitives.binary(BinaryOp.ADD, shift, step, log, step, out, new long[] {out.length()});
  }

  /** The softmax along the keys, 0 where no key is seen. */
  Buffer softmax(Buffer scores) {
    Buffer e = lines.each(UnaryOp.EXP, lines.shifted(scores));
    return lines.apply(BinaryOp.DIV, e, lines.orOne(lines.reduce(ReduceOp.SUM, e)));
  }

  /** scale weights (gradient - sum(gradient weights)). */
  Buffer softmaxGradient(Buffer gradient, Buffer weights, double scale) {
    Buffer delta = lines.reduce(ReduceOp.SUM, lines.product(gradient, weights));
    Buffer distance = lines.apply(BinaryOp.SUB, gradient, delta);
    return times(lines.product(weights, distance), scale);
  }

  /** Which weights dropout keeps, BOOL; null where it drops none. */
  @Nullable Buffer kept(@Nullable Buffer rng, long stream, double p) {
    return rng == null || p == 0
        ? null
        : DropoutMask.compose(
            primitives,
            scratch,
            rng,
            stream,
            shape.rows() * shape.keys(),
            DropoutMask.threshold(p));
  }

  /** x / (1 - p) where it is kept, else 0. */
  Buffer drop(Buffer x, @Nullable Buffer kept, double p) {
    if (kept == null) {
      return x;
    }
    long[] step = {1};
    Buffer scaled = times(x, DropoutMask.scale(p));
    Buffer out = scratch.take(dtype, x.length());
    primitives.where(
        kept,
        step,
        scaled,
        step,
        scratch.scalar(dtype, 0),
        new long[1],
        out,
        new long[] {x.length()});
    return out;
  }

  private Buffer times(Buffer x, double factor) {
    Buffer out = scratch.take(dtype, x.length());
    primitives.binary(
        BinaryOp.MUL,
        x,
        new long[] {1},
        scratch.scalar(dtype, factor),
        new long[1],
        out,
        new long[] {x.length()});
    return out;
  }
}
