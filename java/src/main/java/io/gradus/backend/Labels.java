package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Class labels of which one value is ignored: its rows point to class 0 and are masked out. */
final class Labels {
  private final Primitives primitives;
  private final Scratch scratch;
  private final long rows;
  private final Buffer skipped;
  private final Buffer index;

  Labels(Primitives primitives, Scratch scratch, Buffer target, long ignored) {
    this.primitives = primitives;
    this.scratch = scratch;
    this.rows = target.length();
    long[] shape = {rows};
    long[] step = {1};
    long[] repeated = {0};
    this.skipped = scratch.take(DType.BOOL, rows);
    primitives.compare(
        CompareOp.EQ,
        target,
        step,
        scratch.scalar(DType.INT64, (double) ignored),
        repeated,
        skipped,
        shape);
    this.index = scratch.take(DType.INT64, rows);
    Buffer zero = scratch.scalar(DType.INT64, 0);
    primitives.where(skipped, step, zero, repeated, target, step, index, shape);
  }

  /** The weight of every class in a type; 1 where there are none. */
  Buffer weights(@Nullable Buffer weight, DType dtype, long classes) {
    if (weight != null) {
      return scratch.as(dtype, weight);
    }
    Buffer ones = scratch.take(dtype, classes);
    primitives.fill(ones, 1);
    return ones;
  }

  /** values[label] of every row. */
  Buffer select(Buffer values) {
    Buffer out = scratch.take(values.dtype(), rows);
    primitives.gather(IndexShape.rows(1, values.length(), rows, 1), values, index, out);
    return out;
  }

  /** x[row, label] of every row. */
  Buffer pick(Buffer x, long rowCount, long classes) {
    Buffer out = scratch.take(x.dtype(), rowCount);
    primitives.gather(IndexShape.elements(rowCount, classes, 1, 1), x, index, out);
    return out;
  }

  /** Adds a value per row to x[row, label]. */
  void add(Buffer values, Buffer x, long rowCount, long classes) {
    primitives.scatterAdd(IndexShape.elements(rowCount, classes, 1, 1), values, index, x);
  }

  /** values, 0 in ignored rows. */
  Buffer onlyCounted(Buffer values) {
    long[] step = {1};
    Buffer out = scratch.take(values.dtype(), rows);
    Buffer zero = scratch.scalar(values.dtype(), 0);
    primitives.where(skipped, step, zero, new long[] {0}, values, step, out, new long[] {rows});
    return out;
  }
}
