package io.gradus.tensor;

import io.gradus.backend.Activation;
import io.gradus.core.DType;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Batch normalisation, RELU and a convolution as one operation: as devices choose to do it, and as
 * one node of the graph on every device, where the default bodies stand in for the kernels.
 */
class BatchNormConvTest extends OpTestCase {
  private static final String OP =
      "Conv.batchNormConv2d(Tensor,Tensor,Tensor,Tensor,Tensor,double,double,Tensor,Tensor,"
          + "Conv2dOptions)";

  private static Tensor composed(
      Tensor x, Tensor scale, Tensor shift, Tensor kernel, @Nullable Tensor bias) {
    return Conv.batchNormConv2d(
        x, scale, shift, null, null, 0.1, NormTest.EPS, kernel, bias, Conv2dOptions.DEFAULT);
  }

  private static Tensor node(
      Tensor x, Tensor scale, Tensor shift, Tensor kernel, @Nullable Tensor bias) {
    BatchNormConv2dFunction function =
        new BatchNormConv2dFunction(
            Conv.check(x, kernel, bias, Conv2dOptions.DEFAULT),
            new BatchNormOptions(true, 0.1, NormTest.EPS, Activation.RELU),
            null,
            null,
            null,
            kernel.detach(),
            false,
            true,
            true,
            bias != null);
    return function.apply(Norm.present(x, kernel, scale, shift, bias));
  }

  private static Nd naive(Nd... in) {
    Nd z =
        NormTest.activate(
            Activation.RELU, NormTest.affine(NormTest.normalise(in[0], 0, 1, 2), in[1], in[2]));
    return in.length > 4
        ? ConvTest.naive(Conv2dOptions.DEFAULT, z, in[3], in[4])
        : ConvTest.naive(Conv2dOptions.DEFAULT, z, in[3]);
  }

  /** Images, rows, columns, input and output channels, size of the kernel. */
  private static final int[][] SIZES = {
    {2, 4, 5, 3, 5, 1},
    {1, 3, 4, 1, 1, 1},
    {3, 5, 4, 2, 7, 2},
    {1, 6, 7, 17, 4, 1},
    {2, 12, 13, 16, 8, 1},
    {4, 3, 3, 4, 9, 3},
    {1, 2, 7, 3, 2, 1},
    {2, 9, 8, 5, 24, 1},
    {5, 1, 1, 6, 3, 1},
    {1, 1, 9, 2, 3, 1},
    {2, 8, 3, 7, 8, 1},
    {1, 11, 10, 16, 32, 1},
  };

  private static OpSpec spec(boolean one, boolean bias) {
    OpSpec spec =
        OpSpec.op(OP)
            .variant(one ? "one node" : "as chosen", bias ? "bias" : "")
            // 16-bit types round between the two, which the reference does not.
            .dtypes(DType.FLOAT64, DType.FLOAT32)
            .apply(
                in ->
                    one
                        ? node(in[0], in[1], in[2], in[3], bias ? in[4] : null)
                        : composed(in[0], in[1], in[2], in[3], bias ? in[4] : null))
            .gives(BatchNormConvTest::naive)
            .terms(
                in -> in[0].data().length / (double) in[0].dim(-1) * in[3].dim(1) * in[0].dim(-1));
    for (int[] s : SIZES) {
      List<Operand> operands =
          new ArrayList<>(
              List.of(
                  Operand.x(s[0], s[1], s[2], s[3]),
                  NormTest.weight(s[3]),
                  Operand.x(s[3]),
                  Operand.x(s[4], s[5], s[5], s[3])));
      if (bias) {
        operands.add(Operand.x(s[4]));
      }
      spec.on(operands.toArray(new Operand[0]));
    }
    return spec;
  }

  @Override
  protected List<OpSpec> specs() {
    OpSpec chosen =
        spec(false, false)
            .on(
                Operand.x(2, 4, 5, 3).transposed(),
                NormTest.weight(3).sliced(),
                Operand.x(3),
                Operand.x(2, 1, 1, 3).sliced());
    return List.of(refusals(chosen), spec(false, true), spec(true, false), spec(true, true));
  }

  private static OpSpec refusals(OpSpec spec) {
    Tensor x = Tensor.ones(2, 4, 4, 3);
    Tensor kernel = Tensor.ones(5, 1, 1, 3);
    Tensor three = Tensor.ones(3);
    return spec.refuses(
            ShapeException.class,
            "[batchNorm] x has 3 channels but weight has shape [4]",
            () -> composed(x, Tensor.ones(4), three, kernel, null))
        .refuses(
            ShapeException.class,
            "[conv2d] x has 3 channels but weight expects 2",
            () -> composed(x, three, three, Tensor.ones(5, 1, 1, 2), null))
        .refuses(
            ShapeException.class,
            "[batchNorm] one value per channel",
            () -> composed(Tensor.ones(1, 1, 1, 3), three, three, kernel, null));
  }
}
