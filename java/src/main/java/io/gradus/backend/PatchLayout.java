package io.gradus.backend;

import io.gradus.core.DType;

/**
 * A convolution seen as matrix products, one per group: patches [groups, pixels, depth] times
 * weights [groups, results, depth], where a row of patches holds what one output pixel reads
 * ("im2col").
 */
final class PatchLayout {
  private final ConvShape shape;
  private final long channels;
  private final long results;
  private final long depth;
  private final long pixels;
  private final long paddedH;
  private final long paddedW;

  PatchLayout(ConvShape shape) {
    this.shape = shape;
    this.channels = shape.c() / shape.groups();
    this.results = shape.o() / shape.groups();
    this.depth = channels * shape.kh() * shape.kw();
    this.pixels = (long) shape.n() * shape.oh() * shape.ow();
    this.paddedH = shape.h() + 2L * shape.padH();
    this.paddedW = shape.w() + 2L * shape.padW();
  }

  long groups() {
    return shape.groups();
  }

  /** Output channels of a group. */
  long results() {
    return results;
  }

  /** Values that one output pixel reads from a group. */
  long depth() {
    return depth;
  }

  /** Output pixels of the batch. */
  long pixels() {
    return pixels;
  }

  /** One product of op(A) [m, k] and op(B) [k, n] per group. */
  MatmulShape product(long m, long n, long k, boolean transA, boolean transB) {
    return new MatmulShape(groups(), m, n, k, transA, transB, m * k, k * n, false);
  }

  /** The patches of x [n, h, w, c]. */
  Buffer patches(Primitives p, Scratch scratch, Buffer x) {
    Buffer padded = x;
    if (isPadded()) {
      padded = scratch.take(x.dtype(), paddedLength());
      p.fill(padded, 0);
      p.copy(x, imageStrides(shape.h(), shape.w()), inner(padded), paddedStrides(), imageDims());
    }
    Buffer out = scratch.take(x.dtype(), groups() * pixels * depth);
    long c = shape.c();
    long[] dims = {groups(), shape.n(), shape.oh(), shape.ow(), shape.kh(), shape.kw(), channels};
    long[] from = {
      channels,
      paddedH * paddedW * c,
      shape.strideH() * paddedW * c,
      shape.strideW() * c,
      shape.dilationH() * paddedW * c,
      shape.dilationW() * c,
      1
    };
    p.copy(padded, from, out, denseStrides(dims), dims);
    return out;
  }

  /** x [n, h, w, c] as the sum of overlapping patches: the adjoint of {@link #patches}. */
  void addPatches(Primitives p, Scratch scratch, Buffer patches, Buffer x) {
    DType dtype = x.dtype();
    Buffer padded = isPadded() ? scratch.take(dtype, paddedLength()) : x;
    p.fill(padded, 0);
    long c = shape.c();
    long[] dims = {shape.n(), shape.oh(), shape.ow(), groups(), channels};
    long[] dense = denseStrides(dims);
    long[] window = {
      paddedH * paddedW * c, shape.strideH() * paddedW * c, shape.strideW() * c, channels, 1
    };
    long[] tap = {depth * shape.ow() * shape.oh(), depth * shape.ow(), depth, depth * pixels, 1};
    Buffer sum = scratch.take(dtype, pixels * c);
    for (int u = 0; u < shape.kh(); u++) {
      for (int v = 0; v < shape.kw(); v++) {
        Buffer target =
            from(padded, c * (paddedW * shape.dilationH() * u + (long) v * shape.dilationW()));
        Buffer source = from(patches, channels * (u * shape.kw() + v));
        p.binary(BinaryOp.ADD, target, window, source, tap, sum, dims);
        p.copy(sum, dense, target, window, dims);
      }
    }
    if (isPadded()) {
      p.copy(inner(padded), paddedStrides(), x, imageStrides(shape.h(), shape.w()), imageDims());
    }
  }

  /** y [pixels, o] as [groups, pixels, results]. */
  Buffer toGroups(Primitives p, Scratch scratch, Buffer y) {
    if (groups() == 1) {
      return y;
    }
    Buffer out = scratch.take(y.dtype(), y.length());
    long[] dims = groupDims();
    p.copy(y, groupStrides(), out, denseStrides(dims), dims);
    return out;
  }

  /** The reverse of {@link #toGroups}. */
  void fromGroups(Primitives p, Buffer grouped, Buffer y) {
    long[] dims = groupDims();
    p.copy(grouped, denseStrides(dims), y, groupStrides(), dims);
  }

  private long[] groupDims() {
    return new long[] {groups(), pixels, results};
  }

  private long[] groupStrides() {
    return new long[] {results, shape.o(), 1};
  }

  private boolean isPadded() {
    return shape.padH() > 0 || shape.padW() > 0;
  }

  private long paddedLength() {
    return shape.n() * paddedH * paddedW * shape.c();
  }

  /** The padded images from the first pixel that is no padding. */
  private Buffer inner(Buffer padded) {
    return from(padded, (shape.padH() * paddedW + shape.padW()) * shape.c());
  }

  private static Buffer from(Buffer buffer, long start) {
    return buffer.slice(start, buffer.length() - start);
  }

  private long[] imageDims() {
    return new long[] {shape.n(), shape.h(), shape.w(), shape.c()};
  }

  private long[] paddedStrides() {
    return imageStrides(paddedH, paddedW);
  }

  private long[] imageStrides(long height, long width) {
    return denseStrides(new long[] {shape.n(), height, width, shape.c()});
  }

  private static long[] denseStrides(long[] dims) {
    long[] strides = new long[dims.length];
    long step = 1;
    for (int i = dims.length - 1; i >= 0; i--) {
      strides[i] = step;
      step *= dims[i];
    }
    return strides;
  }
}
