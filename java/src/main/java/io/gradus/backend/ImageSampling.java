package io.gradus.backend;

import io.gradus.core.DType;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Which pixel of which image a pixel of an augmented batch shows, composed of primitives: {@link
 * ImageOps#imageAugment} has the rule.
 */
final class ImageSampling {
  private static final int WORDS = 8;
  private static final long[] SINGLE = {0, 0, 0, 0};

  private final Primitives primitives;
  private final Scratch scratch;
  private final AugmentShape shape;
  private final @Nullable Buffer words;
  private final long[] all;
  private final long[] dense;

  ImageSampling(
      Primitives primitives,
      Scratch scratch,
      AugmentShape shape,
      @Nullable Buffer rng,
      long stream) {
    this.primitives = primitives;
    this.scratch = scratch;
    this.shape = shape;
    long rows = shape.outHeight();
    long cols = shape.outWidth();
    long channels = shape.channels();
    this.all = new long[] {shape.batch(), rows, cols, channels};
    this.dense = new long[] {rows * cols * channels, cols * channels, channels, 1};
    if (rng == null) {
      this.words = null;
    } else {
      this.words = scratch.take(DType.INT64, WORDS * shape.batch());
      primitives.random(RandomKind.INTEGER, words, rng, stream, 0, 0x1p32);
    }
  }

  /** The bytes that are shown, [batch, outHeight, outWidth, channels]. */
  Buffer select(Buffer images, Buffer index) {
    long batch = shape.batch();
    long rows = shape.outHeight();
    long cols = shape.outWidth();
    Buffer row = coordinates(rows, offset(0, shape.spareHeight()), null);
    Buffer column = coordinates(cols, offset(1, shape.spareWidth()), mirrored());
    Buffer shownRow = inside(row, shape.height());
    Buffer shownColumn = inside(column, shape.width());
    long[] ofRow = {rows, 1};
    long[] ofSample = {1, 0};
    long[] rowShape = {batch, rows};
    Buffer image = vector(BinaryOp.MUL, index, shape.height());
    Buffer line = binary(BinaryOp.ADD, shownRow, ofRow, image, ofSample, rowShape);
    Buffer start = vector(BinaryOp.MUL, line, shape.width());
    Buffer pixel =
        binary(
            BinaryOp.ADD,
            start,
            new long[] {rows, 1, 0},
            shownColumn,
            new long[] {cols, 0, 1},
            new long[] {batch, rows, cols});
    Buffer out = scratch.take(DType.UINT8, batch * rows * cols * shape.channels());
    long pixels = images.length() / shape.channels();
    primitives.gather(
        IndexShape.rows(1, pixels, pixel.length(), shape.channels()), images, pixel, out);
    if (shape.reflect()) {
      return out;
    }
    Buffer black = scratch.scalar(DType.UINT8, 0);
    out = where(same(row, shownRow), new long[] {rows, 1, 0, 0}, out, dense, black, SINGLE);
    return where(same(column, shownColumn), new long[] {cols, 0, 1, 0}, out, dense, black, SINGLE);
  }

  /** The values with 0 in the square. */
  Buffer cutOut(Buffer values) {
    if (shape.cutout() == 0) {
      return values;
    }
    long rows = shape.outHeight();
    long cols = shape.outWidth();
    Buffer zero = scratch.scalar(values.dtype(), 0);
    Buffer inColumns =
        where(square(6, cols), new long[] {cols, 0, 1, 0}, zero, SINGLE, values, dense);
    return where(square(5, rows), new long[] {rows, 1, 0, 0}, inColumns, dense, values, dense);
  }

  /** How far a coordinate of the image is from that of the result, [batch]. */
  private Buffer offset(int axis, long spare) {
    Buffer start;
    if (shape.crop()) {
      start = below(axis, spare + 1);
    } else {
      start = scratch.take(DType.INT64, shape.batch());
      long middle = spare / 2;
      primitives.fill(start, (double) middle);
    }
    Buffer out = vector(BinaryOp.SUB, start, shape.padding());
    if (shape.translate() == 0) {
      return out;
    }
    Buffer move = below(2 + axis, 2 * shape.translate() + 1);
    Buffer moved = binary(BinaryOp.SUB, out, new long[] {1}, move, new long[] {1}, shape.batch());
    return vector(BinaryOp.ADD, moved, shape.translate());
  }

  private @Nullable Buffer mirrored() {
    return shape.flip() ? compare(CompareOp.GE, word(4), 1L << 31) : null;
  }

  /** Coordinates of the image, [batch, extent]. */
  private Buffer coordinates(long extent, Buffer offset, @Nullable Buffer mirrored) {
    long[] shared = {0, 1};
    long[] matrix = {shape.batch(), extent};
    Buffer numbers = numbers(extent);
    if (mirrored == null) {
      return binary(BinaryOp.ADD, numbers, shared, offset, new long[] {1, 0}, matrix);
    }
    Buffer reversed = vector(BinaryOp.ADD, vector(BinaryOp.MUL, numbers, -1), extent - 1);
    Buffer chosen = scratch.take(DType.INT64, shape.batch() * extent);
    primitives.where(
        mirrored, new long[] {1, 0}, reversed, shared, numbers, shared, chosen, matrix);
    return binary(BinaryOp.ADD, chosen, new long[] {extent, 1}, offset, new long[] {1, 0}, matrix);
  }

  /** Coordinates within the image: reflected, or the nearest ones. */
  private Buffer inside(Buffer at, long extent) {
    if (!shape.reflect() || extent == 1) {
      return vector(BinaryOp.MIN, vector(BinaryOp.MAX, at, 0), extent - 1);
    }
    long period = 2 * (extent - 1);
    Buffer turns = vector(BinaryOp.MUL, vector(BinaryOp.DIV, at, period), period);
    long[] step = {1};
    Buffer forth = binary(BinaryOp.SUB, at, step, turns, step, at.length());
    Buffer back = vector(BinaryOp.ADD, vector(BinaryOp.MUL, forth, -1), period);
    return binary(BinaryOp.MIN, forth, step, back, step, at.length());
  }

  /** Whether a row or column is of the square, BOOL [batch, extent]. */
  private Buffer square(int word, long extent) {
    Buffer first = vector(BinaryOp.SUB, below(word, extent), shape.cutout() / 2);
    Buffer distance =
        binary(
            BinaryOp.SUB,
            numbers(extent),
            new long[] {0, 1},
            first,
            new long[] {1, 0},
            shape.batch(),
            extent);
    Buffer nearest = vector(BinaryOp.MIN, vector(BinaryOp.MAX, distance, 0), shape.cutout() - 1);
    return same(distance, nearest);
  }

  /** A word of every sample, INT64 [batch]. */
  private Buffer word(int number) {
    Buffer out = scratch.take(DType.INT64, shape.batch());
    if (words == null) {
      primitives.fill(out, 0);
      return out;
    }
    Buffer from = words.slice(number, words.length() - number);
    primitives.copy(from, new long[] {WORDS}, out, new long[] {1}, new long[] {shape.batch()});
    return out;
  }

  /** (word bound) / 2^32. */
  private Buffer below(int word, long bound) {
    return vector(BinaryOp.DIV, vector(BinaryOp.MUL, word(word), bound), 1L << 32);
  }

  private Buffer numbers(long n) {
    long[] values = new long[Math.toIntExact(n)];
    Arrays.setAll(values, i -> i);
    Buffer out = scratch.take(DType.INT64, n);
    primitives.upload(values, 0, out);
    return out;
  }

  private Buffer vector(BinaryOp op, Buffer a, long value) {
    Buffer scalar = scratch.scalar(DType.INT64, (double) value);
    return binary(op, a, new long[] {1}, scalar, new long[] {0}, a.length());
  }

  private Buffer binary(
      BinaryOp op, Buffer a, long[] aStrides, Buffer b, long[] bStrides, long... extents) {
    Buffer out = scratch.take(DType.INT64, Arrays.stream(extents).reduce(1, (x, y) -> x * y));
    primitives.binary(op, a, aStrides, b, bStrides, out, extents);
    return out;
  }

  private Buffer compare(CompareOp op, Buffer a, long value) {
    Buffer scalar = scratch.scalar(DType.INT64, (double) value);
    Buffer out = scratch.take(DType.BOOL, a.length());
    primitives.compare(op, a, new long[] {1}, scalar, new long[] {0}, out, new long[] {a.length()});
    return out;
  }

  private Buffer same(Buffer a, Buffer b) {
    long[] step = {1};
    Buffer out = scratch.take(DType.BOOL, a.length());
    primitives.compare(CompareOp.EQ, a, step, b, step, out, new long[] {a.length()});
    return out;
  }

  private Buffer where(
      Buffer condition, long[] strides, Buffer a, long[] aStrides, Buffer b, long[] bStrides) {
    Buffer out = scratch.take(a.dtype(), all[0] * dense[0]);
    primitives.where(condition, strides, a, aStrides, b, bStrides, out, all);
    return out;
  }
}
