package io.gradus.benchmarks.kernels;

import io.gradus.backend.Activation;
import io.gradus.backend.BatchNormShape;
import io.gradus.backend.ConvShape;
import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;
import java.util.List;
import java.util.Locale;

/**
 * A convolution of square images with a square kernel, padded so that stride 1 keeps the size, for
 * float32 operands as exact as told: forward and both gradients, which are as many multiplications
 * each.
 */
final class ConvCases {
  private final DType dtype;
  private final ProductPrecision precision;
  private final ConvShape shape;
  private final long x;
  private final long w;
  private final long y;

  ConvCases(
      DType dtype,
      ProductPrecision precision,
      int n,
      int side,
      int c,
      int o,
      int kernel,
      int stride) {
    this.dtype = dtype;
    this.precision = precision;
    int pad = kernel / 2;
    shape = new ConvShape(n, side, side, c, o, kernel, kernel, stride, stride, pad, pad, 1, 1, 1);
    x = (long) n * side * side * c;
    w = (long) o * kernel * kernel * c;
    y = (long) n * shape.oh() * shape.ow() * o;
  }

  /** Forward, gradient of the input, gradient of the weight; each with its goal. */
  List<KernelCase> all(List<Goal> goals) {
    return List.of(
        kernel(
            "conv2d",
            "conv forward",
            goals.get(0),
            bench -> {
              var image = bench.normal(dtype, x);
              var weight = bench.normal(dtype, w);
              var out = bench.empty(dtype, y);
              return () -> bench.backend().conv2dForward(image, weight, null, out, shape);
            }),
        kernel(
            "conv2d, input gradient",
            "conv input",
            goals.get(1),
            bench -> {
              var gradY = bench.normal(dtype, y);
              var weight = bench.normal(dtype, w);
              var gradX = bench.empty(dtype, x);
              return () -> bench.backend().conv2dBackwardInput(gradY, weight, gradX, shape);
            }),
        kernel(
            "conv2d, weight gradient",
            "conv weight",
            goals.get(2),
            bench -> {
              var image = bench.normal(dtype, x);
              var gradY = bench.normal(dtype, y);
              var gradW = bench.empty(dtype, w);
              return () -> bench.backend().conv2dBackwardWeight(image, gradY, gradW, shape);
            }));
  }

  /**
   * Batch normalisation by known statistics, ReLU and the convolution: on the way into the product
   * where the backend can, and one after the other.
   */
  List<KernelCase> normalised() {
    var rows = (long) shape.n() * shape.h() * shape.w();
    var norm = new BatchNormShape(rows, shape.c(), true, 0.1, 1e-5, Activation.RELU);
    KernelCase.Setup together =
        bench -> {
          var image = bench.normal(dtype, x);
          var weight = bench.normal(dtype, w);
          var vector = bench.uniform(shape.c());
          var out = bench.empty(dtype, y);
          return () ->
              bench
                  .backend()
                  .conv2dNormalisedForward(
                      image, vector, vector, vector, vector, weight, null, out, null, null, shape);
        };
    KernelCase.Setup apart =
        bench -> {
          var image = bench.normal(dtype, x);
          var weight = bench.normal(dtype, w);
          var vector = bench.uniform(shape.c());
          var z = bench.empty(dtype, x);
          var out = bench.empty(dtype, y);
          return () -> {
            bench.backend().batchNormApply(image, vector, vector, vector, vector, null, z, norm);
            bench.backend().conv2dForward(z, weight, null, out, shape);
          };
        };
    return List.of(
        kernel("batch norm, ReLU and conv2d", "norm_conv", Goal.NONE, together),
        kernel("batch norm, ReLU, then conv2d", "norm_conv", Goal.NONE, apart));
  }

  /** A call whose products are as exact as told. */
  private KernelCase.Setup precise(KernelCase.Setup setup) {
    return bench -> {
      Runnable call = setup.prepare(bench);
      return () -> {
        try (ProductPrecision.Guard g = precision.use()) {
          call.run();
        }
      };
    };
  }

  private KernelCase kernel(String name, String peer, Goal goal, KernelCase.Setup setup) {
    String sizes =
        CaseMaker.by(shape.n(), shape.h(), shape.w(), shape.c())
            + " to "
            + shape.o()
            + ", "
            + CaseMaker.by(shape.kh(), shape.kw())
            + (shape.strideH() == 1 ? "" : ", stride " + shape.strideH());
    // As for products of matrices, 3xTF32 is compared with float32.
    String mode = precision == ProductPrecision.TF32 ? precision.name() : dtype.name();
    double flops = 2.0 * y * shape.kh() * shape.kw() * shape.c();
    return new KernelCase(
        "conv",
        name,
        sizes,
        dtype,
        precision,
        flops,
        (double) dtype.bytes() * (x + w + y),
        precise(setup),
        goal,
        String.format(
            Locale.ROOT,
            "%s %d %d %d %d %d %d %s",
            peer,
            shape.n(),
            shape.h(),
            shape.c(),
            shape.o(),
            shape.kh(),
            shape.strideH(),
            mode.toLowerCase(Locale.ROOT)));
  }
}
