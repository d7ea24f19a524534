package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Arithmetic on matrices [rows, cols] of one type, in memory of a {@link Scratch}: the vocabulary
 * of the default bodies of norms, softmax and losses. An operand is a full matrix, a row repeated
 * for every row, a column repeated for every column, or a scalar; which one follows from the letter
 * in the method's name or from the layouts below.
 */
final class Rows {
  private final Primitives primitives;
  private final Scratch scratch;
  private final DType dtype;
  private final long rows;
  private final long cols;

  final long[] full;
  final long[] row = {0, 1};
  final long[] column = {1, 0};
  final long[] scalar = {0, 0};

  Rows(Primitives primitives, Scratch scratch, DType dtype, long rows, long cols) {
    this.primitives = primitives;
    this.scratch = scratch;
    this.dtype = dtype;
    this.rows = rows;
    this.cols = cols;
    this.full = new long[] {cols, 1};
  }

  /** A matrix: a op b, b in the given layout. */
  Buffer apply(BinaryOp op, Buffer a, Buffer b, long[] bLayout) {
    Buffer out = scratch.take(dtype, rows * cols);
    primitives.binary(op, a, full, b, bLayout, out, shape());
    return out;
  }

  /** A matrix: a op value. */
  Buffer apply(BinaryOp op, Buffer a, double value) {
    return apply(op, a, scratch.scalar(dtype, value), scalar);
  }

  /** A matrix: a op b, or a where b is absent. */
  Buffer applyIfPresent(BinaryOp op, Buffer a, @Nullable Buffer b, long[] bLayout) {
    return b == null ? a : apply(op, a, scratch.as(dtype, b), bLayout);
  }

  /** A matrix: f(x). */
  Buffer apply(UnaryOp op, Buffer x) {
    Buffer out = scratch.take(dtype, x.length());
    primitives.unary(op, x, out);
    return out;
  }

  /** x where mask (a matrix) is positive, else 0. */
  Buffer wherePositive(Buffer mask, Buffer x) {
    Buffer positive = scratch.take(DType.BOOL, rows * cols);
    Buffer zero = scratch.scalar(dtype, 0);
    primitives.compare(CompareOp.GT, mask, full, zero, scalar, positive, shape());
    Buffer out = scratch.take(dtype, rows * cols);
    primitives.where(positive, full, x, full, zero, scalar, out, shape());
    return out;
  }

  /** The sum of every column, [cols]. */
  Buffer sumOfColumns(Buffer x) {
    return reduce(ReduceOp.SUM, x, 1, rows, cols);
  }

  /** The sum of every row, [rows]. */
  Buffer sumOfRows(Buffer x) {
    return reduce(ReduceOp.SUM, x, rows, cols, 1);
  }

  private Buffer reduce(ReduceOp op, Buffer x, long outer, long n, long inner) {
    Buffer out = scratch.take(dtype, outer * inner);
    primitives.reduce(op, x, out, outer, n, inner);
    return out;
  }

  /** A vector of any length: a op b, element-wise. */
  Buffer vector(BinaryOp op, Buffer a, Buffer b) {
    Buffer out = scratch.take(dtype, a.length());
    long[] step = {1};
    primitives.binary(op, a, step, b, step, out, new long[] {a.length()});
    return out;
  }

  /** A vector of any length: a op value. */
  Buffer vector(BinaryOp op, Buffer a, double value) {
    Buffer out = scratch.take(dtype, a.length());
    primitives.binary(
        op,
        a,
        new long[] {1},
        scratch.scalar(dtype, value),
        new long[] {0},
        out,
        new long[] {a.length()});
    return out;
  }

  /** Stores a result, converted to the target's type; nothing where there is no target. */
  void store(Buffer result, @Nullable Buffer target) {
    if (target != null) {
      primitives.cast(result, target);
    }
  }

  /**
   * Stores a matrix of this type where the flag (BOOL [1]) is false or absent; else the target
   * stays.
   */
  void storeUnless(@Nullable Buffer flag, Buffer result, Buffer target) {
    Buffer next = result;
    if (flag != null) {
      next = scratch.take(dtype, rows * cols);
      primitives.where(flag, scalar, target, full, result, full, next, shape());
    }
    primitives.cast(next, target);
  }

  private long[] shape() {
    return new long[] {rows, cols};
  }
}
