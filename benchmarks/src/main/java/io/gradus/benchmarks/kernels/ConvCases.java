package io.gradus.benchmarks.kernels;

import io.gradus.backend.ConvShape;
import io.gradus.core.DType;
import java.util.List;

/**
 * A convolution of square images with a square kernel, padded so that stride 1 keeps the size:
 * forward and both gradients, which are as many multiplications each.
 */
final class ConvCases {
  private static final DType F32 = DType.FLOAT32;

  private final ConvShape shape;
  private final long x;
  private final long w;
  private final long y;

  ConvCases(int n, int side, int c, int o, int kernel, int stride) {
    int pad = kernel / 2;
    shape = new ConvShape(n, side, side, c, o, kernel, kernel, stride, stride, pad, pad, 1, 1, 1);
    x = (long) n * side * side * c;
    w = (long) o * kernel * kernel * c;
    y = (long) n * shape.oh() * shape.ow() * o;
  }

  List<KernelCase> all() {
    return List.of(
        kernel(
            "conv2d",
            bench -> {
              var image = bench.normal(F32, x);
              var weight = bench.normal(F32, w);
              var out = bench.empty(F32, y);
              return () -> bench.backend().conv2dForward(image, weight, null, out, shape);
            }),
        kernel(
            "conv2d, input gradient",
            bench -> {
              var gradY = bench.normal(F32, y);
              var weight = bench.normal(F32, w);
              var gradX = bench.empty(F32, x);
              return () -> bench.backend().conv2dBackwardInput(gradY, weight, gradX, shape);
            }),
        kernel(
            "conv2d, weight gradient",
            bench -> {
              var image = bench.normal(F32, x);
              var gradY = bench.normal(F32, y);
              var gradW = bench.empty(F32, w);
              return () -> bench.backend().conv2dBackwardWeight(image, gradY, gradW, shape);
            }));
  }

  private KernelCase kernel(String name, KernelCase.Setup setup) {
    String sizes =
        KernelCases.by(shape.n(), shape.h(), shape.w(), shape.c())
            + " to "
            + shape.o()
            + ", "
            + KernelCases.by(shape.kh(), shape.kw())
            + (shape.strideH() == 1 ? "" : ", stride " + shape.strideH());
    double flops = 2.0 * y * shape.kh() * shape.kw() * shape.c();
    return new KernelCase(
        "conv", name, sizes, F32, flops, (double) F32.bytes() * (x + w + y), setup);
  }
}
