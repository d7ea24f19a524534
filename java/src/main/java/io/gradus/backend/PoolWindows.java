package io.gradus.backend;

import io.gradus.core.DType;

/**
 * The pixels of pooling windows as lists of positions, for the default bodies of {@link PoolOps}.
 */
final class PoolWindows {
  private final Primitives primitives;
  private final Scratch scratch;
  private final PoolShape shape;
  private final int taps;

  PoolWindows(Primitives primitives, Scratch scratch, PoolShape shape) {
    this.primitives = primitives;
    this.scratch = scratch;
    this.shape = shape;
    this.taps = shape.kh() * shape.kw();
  }

  /** Pixels of the largest window. */
  long taps() {
    return taps;
  }

  /** Windows of an image. */
  long windows() {
    return (long) shape.oh() * shape.ow();
  }

  /** Windows of the batch. */
  long outputs() {
    return shape.n() * windows();
  }

  /** Pixels of an image. */
  long pixels() {
    return (long) shape.h() * shape.w();
  }

  /** INT64 [windows, taps]; a pixel outside the window is replaced by its nearest inside. */
  Buffer clampedPositions() {
    return positions(true);
  }

  /** INT64 [windows, taps]; a pixel outside the window is replaced by the one after the last. */
  Buffer zeroedPositions() {
    return positions(false);
  }

  private Buffer positions(boolean clamped) {
    long[] out = new long[Math.toIntExact(windows() * taps)];
    int at = 0;
    for (int i = 0; i < shape.oh(); i++) {
      for (int j = 0; j < shape.ow(); j++) {
        int top = shape.strideH() == 0 ? shape.rowStart(i) : i * shape.strideH() - shape.padH();
        int left = shape.strideW() == 0 ? shape.colStart(j) : j * shape.strideW() - shape.padW();
        for (int tap = 0; tap < taps; tap++) {
          int row = top + tap / shape.kw();
          int col = left + tap % shape.kw();
          int nearRow = Math.max(shape.rowStart(i), Math.min(row, shape.rowEnd(i) - 1));
          int nearCol = Math.max(shape.colStart(j), Math.min(col, shape.colEnd(j) - 1));
          boolean inside = row == nearRow && col == nearCol;
          out[at++] = clamped || inside ? (long) nearRow * shape.w() + nearCol : pixels();
        }
      }
    }
    Buffer buffer = scratch.take(DType.INT64, out.length);
    primitives.upload(out, 0, buffer);
    return buffer;
  }

  /** The values [n, windows, taps, c] of x, whose images have {@code size} pixels. */
  Buffer gather(Buffer x, Buffer positions, long size) {
    Buffer values = scratch.take(x.dtype(), outputs() * taps * shape.c());
    primitives.gather(
        IndexShape.rows(shape.n(), size, windows() * taps, shape.c()), x, positions, values);
    return values;
  }

  /** x with a pixel of zeros after each image. */
  Buffer withZeroPixel(Buffer x) {
    Buffer padded = scratch.take(x.dtype(), shape.n() * (pixels() + 1) * shape.c());
    primitives.fill(padded, 0);
    primitives.copy(x, images(pixels()), padded, images(pixels() + 1), imageDims());
    return padded;
  }

  /** The reverse of {@link #withZeroPixel}, converting the type. */
  void withoutZeroPixel(Buffer padded, Buffer x) {
    boolean direct = padded.dtype() == x.dtype();
    Buffer dense = direct ? x : scratch.take(padded.dtype(), x.length());
    primitives.copy(padded, images(pixels() + 1), dense, images(pixels()), imageDims());
    if (!direct) {
      primitives.cast(dense, x);
    }
  }

  private long[] imageDims() {
    return new long[] {shape.n(), pixels() * shape.c()};
  }

  private long[] images(long size) {
    return new long[] {size * shape.c(), 1};
  }

  /** Adds each window's value [n, windows, c] to all its pixels: images with a pixel to drop. */
  Buffer scatter(Buffer share) {
    long c = shape.c();
    Buffer spread = scratch.take(share.dtype(), outputs() * taps * c);
    primitives.copy(
        share,
        new long[] {c, 0, 1},
        spread,
        new long[] {taps * c, c, 1},
        new long[] {outputs(), taps, c});
    Buffer sum = scratch.take(share.dtype(), shape.n() * (pixels() + 1) * c);
    primitives.fill(sum, 0);
    primitives.scatterAdd(
        IndexShape.rows(shape.n(), pixels() + 1, windows() * taps, c),
        spread,
        zeroedPositions(),
        sum);
    return sum;
  }

  /** Divides the windows' values [n, windows, c] by their numbers of pixels. */
  void divide(Buffer values, Buffer out, boolean countPadding) {
    double[] divisors = new double[Math.toIntExact(windows())];
    for (int i = 0; i < divisors.length; i++) {
      divisors[i] = shape.divisor(i / shape.ow(), i % shape.ow(), countPadding);
    }
    Buffer exact = scratch.take(DType.FLOAT64, divisors.length);
    primitives.upload(divisors, 0, exact);
    long c = shape.c();
    primitives.binary(
        BinaryOp.DIV,
        values,
        new long[] {windows() * c, c, 1},
        scratch.as(out.dtype(), exact),
        new long[] {0, 1, 0},
        out,
        new long[] {shape.n(), windows(), c});
  }
}
