package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.gradus.backend.Activation;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Convolution with batch normalisation behind it, as one operation. */
class ConvBatchNormTest extends OpTestCase {
  private static final String OP =
      "Conv.conv2dBatchNorm(Tensor,Tensor,Tensor,Conv2dOptions,Tensor,Tensor,Tensor,Tensor,double,"
          + "double,Activation,Tensor)";

  private static Tensor fused(
      Tensor x,
      Tensor kernel,
      @Nullable Tensor bias,
      Conv2dOptions options,
      Tensor scale,
      Tensor shift,
      Activation activation,
      @Nullable Tensor residual) {
    return Conv.conv2dBatchNorm(
        x,
        kernel,
        bias,
        options,
        scale,
        shift,
        null,
        null,
        0.1,
        NormTest.EPS,
        activation,
        residual);
  }

  /** Operands: x, kernel, scale, shift, then a bias or a residual where there is one. */
  private static OpSpec spec(
      Conv2dOptions options, boolean bias, boolean residual, Activation activation) {
    return OpSpec.op(OP)
        .variant(options, bias ? "bias" : "", residual ? "residual" : "", activation)
        // 16-bit types round between the two, which the reference does not: see agreesWithItsParts.
        .dtypes(DType.FLOAT64, DType.FLOAT32)
        .apply(
            in ->
                fused(
                    in[0],
                    in[1],
                    bias ? in[4] : null,
                    options,
                    in[2],
                    in[3],
                    activation,
                    residual ? in[4] : null))
        .gives(
            in -> {
              Nd z = bias ? ConvTest.naive(options, in[0], in[1], in[4]) : naive(options, in);
              Nd y = NormTest.affine(NormTest.normalise(z, 0, 1, 2), in[2], in[3]);
              return NormTest.activate(
                  activation, residual ? Nd.zip(y, in[4], (a, b) -> a + b) : y);
            })
        .terms(in -> in[0].data().length / (double) in[0].dim(-1) * in[1].dim(1) * in[1].dim(2));
  }

  private static Nd naive(Conv2dOptions options, Nd... in) {
    return ConvTest.naive(options, in[0], in[1]);
  }

  /** Images, rows, columns, input and output channels. */
  private static final int[][] SIZES = {
    {2, 4, 5, 3, 5},
    {1, 3, 4, 1, 1},
    {3, 5, 4, 2, 7},
    {1, 6, 7, 17, 4},
    {2, 12, 13, 16, 16},
    {4, 3, 3, 4, 9},
    {1, 2, 7, 3, 2},
    {2, 9, 8, 5, 24},
    {5, 1, 1, 6, 3},
    {1, 1, 9, 2, 3},
    {2, 16, 3, 7, 8},
    {1, 21, 20, 16, 32},
  };

  private static OpSpec withSizes(OpSpec spec, boolean bias, boolean residual) {
    for (int[] s : SIZES) {
      List<Operand> operands =
          new ArrayList<>(
              List.of(
                  Operand.x(s[0], s[1], s[2], s[3]),
                  Operand.x(s[4], 3, 3, s[3]),
                  NormTest.weight(s[4]),
                  Operand.x(s[4])));
      if (bias) {
        operands.add(Operand.x(s[4]));
      } else if (residual) {
        operands.add(Operand.x(s[0], s[1], s[2], s[4]));
      }
      spec.on(operands.toArray(new Operand[0]));
    }
    return spec;
  }

  @Override
  protected List<OpSpec> specs() {
    Conv2dOptions same = Conv2dOptions.of(1, 1);
    OpSpec alone =
        withSizes(spec(same, false, false, Activation.RELU), false, false)
            .on(
                Operand.x(2, 4, 5, 3).transposed(),
                Operand.x(2, 3, 3, 3).sliced(),
                NormTest.weight(2).sliced(),
                Operand.x(2));
    OpSpec biased = spec(Conv2dOptions.of(2, 1), true, false, Activation.NONE);
    OpSpec added = spec(same, false, true, Activation.RELU);
    return List.of(refusals(alone), withSizes(biased, true, false), withSizes(added, false, true));
  }

  private static OpSpec refusals(OpSpec spec) {
    Tensor x = Tensor.ones(2, 4, 4, 3);
    Tensor kernel = Tensor.ones(5, 3, 3, 3);
    Tensor five = Tensor.ones(5);
    Conv2dOptions none = Conv2dOptions.DEFAULT;
    return spec.refuses(
            ShapeException.class,
            "[batchNorm] x has 5 channels but weight has shape [4]",
            () -> fused(x, kernel, null, none, Tensor.ones(4), five, Activation.NONE, null))
        .refuses(
            ShapeException.class,
            "[conv2d] x has 2 channels but weight expects 3",
            () ->
                fused(
                    Tensor.ones(2, 4, 4, 2), kernel, null, none, five, five, Activation.NONE, null))
        .refuses(
            ShapeException.class,
            "[batchNorm] one value per channel",
            () ->
                fused(
                    Tensor.ones(1, 3, 3, 3),
                    kernel,
                    null,
                    none,
                    five,
                    five,
                    Activation.NONE,
                    null));
  }

  /** One operation and two give the same, running statistics included. */
  @Test
  void agreesWithItsParts() {
    for (DeviceInfo info : Device.all()) {
      if (!info.usable()) {
        continue;
      }
      Device device = info.device();
      for (DType dtype : new DType[] {DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16}) {
        try (Scope s = Scope.open()) {
          Generator.seed(5);
          Tensor x = Tensor.randn(3, 8, 9, 16).to(dtype).to(device);
          Tensor kernel = Tensor.randn(16, 3, 3, 16).to(dtype).to(device);
          Tensor scale = Tensor.rand(16).to(device);
          Tensor shift = Tensor.randn(16).to(device);
          Tensor[][] running = new Tensor[2][];
          for (int i = 0; i < 2; i++) {
            running[i] =
                new Tensor[] {
                  Tensor.zeros(16).to(device).copy(), Tensor.ones(16).to(device).copy()
                };
          }
          Conv2dOptions same = Conv2dOptions.of(1, 1);
          Tensor one =
              Conv.conv2dBatchNorm(
                  x,
                  kernel,
                  null,
                  same,
                  scale,
                  shift,
                  running[0][0],
                  running[0][1],
                  0.1,
                  1e-5,
                  Activation.RELU,
                  null);
          Tensor two =
              Norm.batchNorm(
                  Conv.conv2d(x, kernel, null, same),
                  scale,
                  shift,
                  running[1][0],
                  running[1][1],
                  new BatchNormOptions(true, 0.1, 1e-5, Activation.RELU),
                  null);
          double tolerance = dtype.isHalf() ? 0.02 : 2e-5;
          assertArrayEquals(two.toDoubles(), one.toDoubles(), tolerance, device + " " + dtype);
          for (int k = 0; k < 2; k++) {
            assertArrayEquals(
                running[1][k].toDoubles(), running[0][k].toDoubles(), 1e-3, device + " " + dtype);
          }
        }
      }
    }
  }
}
