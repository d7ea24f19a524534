package io.gradus.backend;

/**
 * Softmax and its logarithm along the middle axis of x [outer, n, inner]. The maximum is subtracted
 * before exponentials are taken, so that none overflows. A line whose every element is minus
 * infinity (all masked) has softmax 0 and logSoftmax minus infinity, not NaN; a NaN or plus
 * infinity makes its line NaN.
 */
public interface SoftmaxOps extends Primitives {
  /**
   * y = exp(x - max) / sum(exp(x - max)).
   *
   * @param x [outer, n, inner]
   * @param y [outer, n, inner]
   * @param outer product of the extents before the axis
   * @param n extent of the axis
   * @param inner product of the extents after the axis
   */
  default void softmaxForward(Buffer x, Buffer y, long outer, long n, long inner) {
    try (Scratch scratch = new Scratch(this)) {
      Lines m = new Lines(this, scratch, Scratch.accumulator(x.dtype()), outer, n, inner);
      Buffer e = m.each(UnaryOp.EXP, m.shifted(scratch.as(m.dtype, x)));
      cast(m.apply(BinaryOp.DIV, e, m.orOne(m.reduce(ReduceOp.SUM, e))), y);
    }
  }

  /**
   * y = x - max - log(sum(exp(x - max))).
   *
   * @param x [outer, n, inner]
   * @param y [outer, n, inner]
   * @param outer product of the extents before the axis
   * @param n extent of the axis
   * @param inner product of the extents after the axis
   */
  default void logSoftmaxForward(Buffer x, Buffer y, long outer, long n, long inner) {
    try (Scratch scratch = new Scratch(this)) {
      Lines m = new Lines(this, scratch, Scratch.accumulator(x.dtype()), outer, n, inner);
      Buffer shifted = m.shifted(scratch.as(m.dtype, x));
      Buffer sum = m.orOne(m.reduce(ReduceOp.SUM, m.each(UnaryOp.EXP, shifted)));
      cast(m.apply(BinaryOp.SUB, shifted, m.each(UnaryOp.LOG, sum)), y);
    }
  }

  /**
   * gradX = y (gradY - sum(gradY y)), y the softmax.
   *
   * @param gradY [outer, n, inner]
   * @param y [outer, n, inner]
   * @param gradX [outer, n, inner]
   * @param outer product of the extents before the axis
   * @param n extent of the axis
   * @param inner product of the extents after the axis
   */
  default void softmaxBackward(
      Buffer gradY, Buffer y, Buffer gradX, long outer, long n, long inner) {
    try (Scratch scratch = new Scratch(this)) {
      Lines m = new Lines(this, scratch, Scratch.accumulator(y.dtype()), outer, n, inner);
      Buffer g = scratch.as(m.dtype, gradY);
      Buffer p = scratch.as(m.dtype, y);
      Buffer dot = m.reduce(ReduceOp.SUM, m.product(g, p));
      cast(m.product(m.apply(BinaryOp.SUB, g, dot), p), gradX);
    }
  }

  /**
   * gradX = gradY - exp(y) sum(gradY), y the logarithm of the softmax.
   *
   * @param gradY [outer, n, inner]
   * @param y [outer, n, inner]
   * @param gradX [outer, n, inner]
   * @param outer product of the extents before the axis
   * @param n extent of the axis
   * @param inner product of the extents after the axis
   */
  default void logSoftmaxBackward(
      Buffer gradY, Buffer y, Buffer gradX, long outer, long n, long inner) {
    try (Scratch scratch = new Scratch(this)) {
      Lines m = new Lines(this, scratch, Scratch.accumulator(y.dtype()), outer, n, inner);
      Buffer g = scratch.as(m.dtype, gradY);
      Buffer p = m.each(UnaryOp.EXP, scratch.as(m.dtype, y));
      Buffer share = m.apply(BinaryOp.MUL, p, m.reduce(ReduceOp.SUM, g));
      Buffer out = scratch.take(m.dtype, g.length());
      long[] step = {1};
      binary(BinaryOp.SUB, g, step, share, step, out, new long[] {g.length()});
      cast(out, gradX);
    }
  }
}
