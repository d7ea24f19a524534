package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.CaseMaker.by;

import io.gradus.backend.PoolShape;
import io.gradus.core.DType;

/** Pooling of square images by 2x2: the largest, its gradient, and the average. */
final class PoolCases {
  private PoolCases() {}

  /** Adds them. */
  static void add(CaseMaker to, int n, int side, int channels) {
    DType dtype = to.dtype();
    PoolShape shape = PoolShape.regular(n, side, side, channels, 2, 2, 2, 2, 0, 0);
    long in = (long) n * side * side * channels;
    long out = in / 4;
    String sizes = by(n, side, side, channels);
    to.add(
        "max 2x2",
        sizes,
        1.0 * in,
        1.0 * in + out,
        1.0 * out,
        bench -> {
          var x = bench.normal(dtype, in);
          var y = bench.empty(dtype, out);
          var index = bench.empty(DType.INT32, out);
          return () -> bench.backend().maxPool2dForward(x, y, index, shape);
        },
        "max_pool",
        n,
        side,
        channels);
    to.add(
        "max 2x2, gradient",
        sizes,
        1.0 * out,
        1.0 * in + out,
        1.0 * out,
        bench -> {
          var x = bench.normal(dtype, in);
          var y = bench.empty(dtype, out);
          var index = bench.empty(DType.INT32, out);
          var gradX = bench.empty(dtype, in);
          bench.backend().maxPool2dForward(x, y, index, shape);
          return () -> bench.backend().maxPool2dBackward(y, index, gradX, shape);
        },
        "max_pool_gradient",
        n,
        side,
        channels);
    to.add(
        "average 2x2",
        sizes,
        1.0 * in,
        1.0 * in + out,
        0,
        bench -> {
          var x = bench.normal(dtype, in);
          var y = bench.empty(dtype, out);
          return () -> bench.backend().avgPool2dForward(x, y, shape, true);
        },
        "average_pool",
        n,
        side,
        channels);
  }
}
