package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Two-dimensional convolution of images [n, h, w, c] with weights [o, kh, kw, c / groups], as
 * cross-correlation:
 *
 * <pre>{@code
 * y[n, i, j, o] = bias[o] + sum over u, v, k of w[o, u, v, k]
 *     xp[n, i strideH + u dilationH, j strideW + v dilationW, g(o) + k]
 * }</pre>
 *
 * where xp is x with a border of zeros and g(o) the first channel of o's group. The default bodies
 * gather the patches into a matrix and multiply; 16-bit types compute in FLOAT32 and round once.
 */
public interface ConvOps extends Primitives {
  /**
   * The convolution.
   *
   * @param x [n, h, w, c]
   * @param w [o, kh, kw, c / groups]
   * @param bias [o], or null for 0
   * @param y [n, oh, ow, o]
   * @param shape sizes
   */
  default void conv2dForward(Buffer x, Buffer w, @Nullable Buffer bias, Buffer y, ConvShape shape) {
    if (y.length() == 0) {
      return;
    }
    try (Scratch scratch = new Scratch(this)) {
      if (y.dtype().isHalf()) {
        Buffer wide = scratch.take(DType.FLOAT32, y.length());
        conv2dForward(
            scratch.as(DType.FLOAT32, x),
            scratch.as(DType.FLOAT32, w),
            bias == null ? null : scratch.as(DType.FLOAT32, bias),
            wide,
            shape);
        cast(wide, y);
        return;
      }
      PatchLayout layout = new PatchLayout(shape);
      Buffer patches = layout.patches(this, scratch, x);
      Buffer out = layout.groups() == 1 ? y : scratch.take(y.dtype(), y.length());
      matmul(
          layout.product(layout.pixels(), layout.results(), layout.depth(), false, true),
          patches,
          w,
          out);
      if (layout.groups() > 1) {
        layout.fromGroups(this, out, y);
      }
      if (bias != null) {
        long[] strides = {shape.o(), 1};
        binary(
            BinaryOp.ADD,
            y,
            strides,
            bias,
            new long[] {0, 1},
            y,
            new long[] {layout.pixels(), shape.o()});
      }
    }
  }

  /**
   * {@link #conv2dForward} with mean and biased variance of every channel of y, which a plug-in
   * gathers while it computes y: batch normalisation behind it need not read y for them. The
   * default body reads y.
   *
   * @param x [n, h, w, c]
   * @param w [o, kh, kw, c / groups]
   * @param bias [o], or null for 0
   * @param y [n, oh, ow, o], with at least one pixel
   * @param statistics [2, o], means and then variances; FLOAT64 where y is, else FLOAT32
   * @param shape sizes
   */
  default void conv2dForwardStatistics(
      Buffer x, Buffer w, @Nullable Buffer bias, Buffer y, Buffer statistics, ConvShape shape) {
    conv2dForward(x, w, bias, y, shape);
    long channels = shape.o();
    long rows = y.length() / channels;
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, statistics.dtype(), rows, channels);
      ColumnMoments moments = ColumnMoments.of(m, scratch.as(statistics.dtype(), y), rows);
      m.store(moments.mean(), statistics.slice(0, channels));
      m.store(moments.variance(), statistics.slice(channels, channels));
    }
  }

  /**
   * Gradient of the convolution with respect to its input: a transposed convolution.
   *
   * @param gradY [n, oh, ow, o]
   * @param w [o, kh, kw, c / groups]
   * @param gradX [n, h, w, c]
   * @param shape sizes of the convolution
   */
  default void conv2dBackwardInput(Buffer gradY, Buffer w, Buffer gradX, ConvShape shape) {
    if (gradX.length() == 0) {
      return;
    }
    try (Scratch scratch = new Scratch(this)) {
      if (gradX.dtype().isHalf()) {
        Buffer wide = scratch.take(DType.FLOAT32, gradX.length());
        conv2dBackwardInput(
            scratch.as(DType.FLOAT32, gradY), scratch.as(DType.FLOAT32, w), wide, shape);
        cast(wide, gradX);
        return;
      }
      PatchLayout layout = new PatchLayout(shape);
      Buffer g = layout.toGroups(this, scratch, gradY);
      Buffer patches =
          scratch.take(gradX.dtype(), layout.groups() * layout.pixels() * layout.depth());
      matmul(
          layout.product(layout.pixels(), layout.depth(), layout.results(), false, false),
          g,
          w,
          patches);
      layout.addPatches(this, scratch, patches, gradX);
    }
  }

  /**
   * Gradient of the convolution with respect to its weights.
   *
   * @param x [n, h, w, c]
   * @param gradY [n, oh, ow, o]
   * @param gradW [o, kh, kw, c / groups], of the type of x, or FLOAT32 where that has 16 bits: then
   *     it has the sums as they are
   * @param shape sizes of the convolution
   */
  default void conv2dBackwardWeight(Buffer x, Buffer gradY, Buffer gradW, ConvShape shape) {
    if (gradY.length() == 0) {
      fill(gradW, 0);
      return;
    }
    try (Scratch scratch = new Scratch(this)) {
      if (x.dtype().isHalf()) {
        boolean rounds = gradW.dtype().isHalf();
        Buffer wide = rounds ? scratch.take(DType.FLOAT32, gradW.length()) : gradW;
        conv2dBackwardWeight(
            scratch.as(DType.FLOAT32, x), scratch.as(DType.FLOAT32, gradY), wide, shape);
        if (rounds) {
          cast(wide, gradW);
        }
        return;
      }
      PatchLayout layout = new PatchLayout(shape);
      Buffer g = layout.toGroups(this, scratch, gradY);
      Buffer patches = layout.patches(this, scratch, x);
      matmul(
          layout.product(layout.results(), layout.depth(), layout.pixels(), true, false),
          g,
          patches,
          gradW);
    }
  }
}
