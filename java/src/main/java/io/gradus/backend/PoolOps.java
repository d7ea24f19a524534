package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Two-dimensional pooling of images [n, h, w, c]. The default bodies gather every window's pixels
 * to [n, oh ow, kh kw, c] and reduce; the backward passes scatter along the same positions.
 */
public interface PoolOps extends Primitives {
  /**
   * Maximum of every window; a NaN counts as the maximum, and of equals the first wins.
   *
   * @param x [n, h, w, c]
   * @param y [n, oh, ow, c]
   * @param index INT32 [n, oh, ow, c], receives the position row w + column of the maximum, or null
   * @param shape sizes
   */
  default void maxPool2dForward(Buffer x, Buffer y, @Nullable Buffer index, PoolShape shape) {
    if (y.length() == 0) {
      return;
    }
    try (Scratch scratch = new Scratch(this)) {
      PoolWindows windows = new PoolWindows(this, scratch, shape);
      // A pixel that stands in for a missing one is in the window itself, so the maximum is the
      // same.
      Buffer positions = windows.clampedPositions();
      Buffer values = windows.gather(x, positions, windows.pixels());
      reduce(ReduceOp.MAX, values, y, windows.outputs(), windows.taps(), shape.c());
      if (index != null) {
        Buffer tap = scratch.take(DType.INT64, y.length());
        argReduce(true, values, tap, windows.outputs(), windows.taps(), shape.c());
        Buffer position = scratch.take(DType.INT64, y.length());
        long perImage = windows.windows() * shape.c();
        for (int i = 0; i < shape.n(); i++) {
          gather(
              new IndexShape(windows.windows(), windows.taps(), shape.c(), 1, shape.c(), 1, 0),
              positions,
              tap.slice(i * perImage, perImage),
              position.slice(i * perImage, perImage));
        }
        cast(position, index);
      }
    }
  }

  /**
   * Gradient of {@link #maxPool2dForward}: every output's gradient goes to its maximum.
   *
   * @param gradY [n, oh, ow, c]
   * @param index INT32 [n, oh, ow, c], positions of the maxima
   * @param gradX [n, h, w, c]
   * @param shape sizes
   */
  default void maxPool2dBackward(Buffer gradY, Buffer index, Buffer gradX, PoolShape shape) {
    fill(gradX, 0);
    try (Scratch scratch = new Scratch(this)) {
      scatterAdd(
          IndexShape.elements(
              shape.n(), (long) shape.h() * shape.w(), (long) shape.oh() * shape.ow(), shape.c()),
          gradY,
          scratch.as(DType.INT64, index),
          gradX);
    }
  }

  /**
   * Average of every window.
   *
   * @param x [n, h, w, c]
   * @param y [n, oh, ow, c]
   * @param shape sizes
   * @param countPadding whether padding counts as pixels of value 0 or not at all
   */
  default void avgPool2dForward(Buffer x, Buffer y, PoolShape shape, boolean countPadding) {
    if (y.length() == 0) {
      return;
    }
    try (Scratch scratch = new Scratch(this)) {
      DType wide = Scratch.accumulator(x.dtype());
      PoolWindows windows = new PoolWindows(this, scratch, shape);
      Buffer padded = windows.withZeroPixel(scratch.as(wide, x));
      Buffer values = windows.gather(padded, windows.zeroedPositions(), windows.pixels() + 1);
      Buffer sum = scratch.take(wide, y.length());
      reduce(ReduceOp.SUM, values, sum, windows.outputs(), windows.taps(), shape.c());
      windows.divide(sum, sum, countPadding);
      cast(sum, y);
    }
  }

  /**
   * Gradient of {@link #avgPool2dForward}.
   *
   * @param gradY [n, oh, ow, c]
   * @param gradX [n, h, w, c]
   * @param shape sizes
   * @param countPadding as in the forward pass
   */
  default void avgPool2dBackward(
      Buffer gradY, Buffer gradX, PoolShape shape, boolean countPadding) {
    if (gradX.length() == 0) {
      return;
    }
    try (Scratch scratch = new Scratch(this)) {
      DType wide = Scratch.accumulator(gradX.dtype());
      PoolWindows windows = new PoolWindows(this, scratch, shape);
      Buffer share = scratch.take(wide, gradY.length());
      windows.divide(scratch.as(wide, gradY), share, countPadding);
      Buffer sum = windows.scatter(share);
      windows.withoutZeroPixel(sum, gradX);
    }
  }
}
