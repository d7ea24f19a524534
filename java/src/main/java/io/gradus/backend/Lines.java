package io.gradus.backend;

import io.gradus.core.DType;

/** Arithmetic on [outer, n, inner] with one value per line along the middle axis. */
final class Lines {
  final DType dtype;

  private final Primitives primitives;
  private final Scratch scratch;
  private final long outer;
  private final long n;
  private final long inner;

  Lines(Primitives primitives, Scratch scratch, DType dtype, long outer, long n, long inner) {
    this.primitives = primitives;
    this.scratch = scratch;
    this.dtype = dtype;
    this.outer = outer;
    this.n = n;
    this.inner = inner;
  }

  /** a op b, b one value per line. */
  Buffer apply(BinaryOp op, Buffer a, Buffer b) {
    Buffer out = scratch.take(dtype, outer * n * inner);
    primitives.binary(
        op,
        a,
        new long[] {n * inner, inner, 1},
        b,
        new long[] {inner, 0, 1},
        out,
        new long[] {outer, n, inner});
    return out;
  }

  /** a b, element-wise. */
  Buffer product(Buffer a, Buffer b) {
    Buffer out = scratch.take(dtype, a.length());
    long[] step = {1};
    primitives.binary(BinaryOp.MUL, a, step, b, step, out, new long[] {a.length()});
    return out;
  }

  /** f(x), element-wise. */
  Buffer each(UnaryOp op, Buffer x) {
    Buffer out = scratch.take(dtype, x.length());
    primitives.unary(op, x, out);
    return out;
  }

  /** One value per line. */
  Buffer reduce(ReduceOp op, Buffer x) {
    Buffer out = scratch.take(dtype, outer * inner);
    primitives.reduce(op, x, out, outer, n, inner);
    return out;
  }

  /** The maximum of every line, 0 where it is minus infinity: that one would give NaN. */
  Buffer shift(Buffer x) {
    return replace(reduce(ReduceOp.MAX, x), Double.NEGATIVE_INFINITY, 0);
  }

  /** x less the maximum of its line. */
  Buffer shifted(Buffer x) {
    return apply(BinaryOp.SUB, x, shift(x));
  }

  /** Sums of exponentials, 1 in place of 0. */
  Buffer orOne(Buffer sums) {
    return replace(sums, 0, 1);
  }

  private Buffer replace(Buffer values, double from, double to) {
    long[] shape = {values.length()};
    long[] step = {1};
    long[] repeated = {0};
    Buffer found = scratch.take(DType.BOOL, values.length());
    primitives.compare(
        CompareOp.EQ, values, step, scratch.scalar(dtype, from), repeated, found, shape);
    Buffer out = scratch.take(dtype, values.length());
    primitives.where(found, step, scratch.scalar(dtype, to), repeated, values, step, out, shape);
    return out;
  }
}
