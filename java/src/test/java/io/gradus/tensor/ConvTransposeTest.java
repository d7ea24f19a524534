package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Transposed convolution: every pixel spread over its patch, one after the other. */
class ConvTransposeTest extends OpTestCase {
  private static final String OP =
      "Conv.convTranspose2d(Tensor,Tensor,Tensor,ConvTranspose2dOptions)";

  /** Images, rows, columns, input and output channels of a group, kernel rows and columns. */
  private static final int[][] SIZES = {
    {2, 3, 4, 3, 2, 3, 3},
    {1, 4, 3, 1, 1, 3, 4},
    {0, 3, 3, 2, 3, 3, 3},
    {1, 1, 1, 2, 3, 4, 3},
    {3, 3, 2, 2, 1, 3, 5},
    {1, 5, 6, 17, 2, 5, 5},
    {1, 6, 5, 20, 18, 3, 3},
  };

  private static Nd naive(ConvTranspose2dOptions options, Nd... in) {
    Conv2dOptions o = options.convolution();
    Nd x = in[0];
    Nd w = in[1];
    long each = w.dim(3);
    long[] dims = {
      x.dim(0),
      (x.dim(1) - 1) * o.strideH()
          - 2L * o.padH()
          + o.dilationH() * (w.dim(1) - 1)
          + options.outputPadH()
          + 1,
      (x.dim(2) - 1) * o.strideW()
          - 2L * o.padW()
          + o.dilationW() * (w.dim(2) - 1)
          + options.outputPadW()
          + 1,
      each * o.groups()
    };
    double[] y = new double[(int) Nd.count(dims)];
    Nd.generate(
        x.dims(),
        at -> {
          long group = at[3] / (x.dim(3) / o.groups());
          for (long u = 0; u < w.dim(1); u++) {
            for (long v = 0; v < w.dim(2); v++) {
              long row = at[1] * o.strideH() + u * o.dilationH() - o.padH();
              long col = at[2] * o.strideW() + v * o.dilationW() - o.padW();
              if (row < 0 || row >= dims[1] || col < 0 || col >= dims[2]) {
                continue;
              }
              for (long c = 0; c < each; c++) {
                long pixel = (at[0] * dims[1] + row) * dims[2] + col;
                y[(int) (pixel * dims[3] + group * each + c)] += x.at(at) * w.at(at[3], u, v, c);
              }
            }
          }
          return 0;
        });
    Nd out = Nd.of(dims, y);
    return in.length > 2 ? Nd.zip(out, in[2], (a, b) -> a + b) : out;
  }

  private static OpSpec spec(ConvTranspose2dOptions options) {
    OpSpec spec =
        OpSpec.op(OP)
            .variant(options)
            .apply(in -> Conv.convTranspose2d(in[0], in[1], in.length > 2 ? in[2] : null, options))
            .gives(in -> naive(options, in))
            // The bias is added to a sum that was rounded: no cancellation may lay that bare.
            .halfSteps(2)
            .terms(in -> in[1].dim(1) * in[1].dim(2) * in[0].dim(3));
    long g = options.convolution().groups();
    boolean bias = true;
    for (int[] s : SIZES) {
      Operand x = Operand.x(s[0], s[1], s[2], s[3] * g);
      Operand w = Operand.x(s[3] * g, s[5], s[6], s[4]);
      if (bias) {
        spec.on(positive(x), positive(w), positive(Operand.x(s[4] * g)));
      } else {
        spec.on(x, w);
      }
      bias = !bias;
    }
    return spec.on(Operand.x(2, 3, 3, 2 * g).transposed(), Operand.x(2 * g, 3, 3, 2).transposed())
        .on(
            positive(Operand.x(2, 3, 3, 2 * g).sliced()),
            positive(Operand.x(2 * g, 3, 3, 2).sliced()),
            positive(Operand.x(2 * g).sliced()))
        .on(Operand.x(2, 3, 3, 2 * g).expanded(), Operand.x(2 * g, 3, 3, 1).constant())
        .on(
            positive(Operand.x(1, 3, 3, g).constant()),
            positive(Operand.x(g, 3, 3, 2)),
            positive(Operand.x(2 * g)));
  }

  private static Operand positive(Operand x) {
    return x.range(0.5, 2);
  }

  @Override
  protected List<OpSpec> specs() {
    ConvTranspose2dOptions plain = ConvTranspose2dOptions.DEFAULT;
    Tensor x = Tensor.ones(2, 4, 4, 3);
    Tensor w = Tensor.ones(3, 3, 3, 5);
    List<OpSpec> specs = new ArrayList<>();
    specs.add(
        spec(plain)
            .refuses(
                ShapeException.class,
                "[convTranspose2d] x has 3 channels but weight expects 4 (x [2, 4, 4, 3], weight"
                    + " [4, 3, 3, 5])",
                () -> Conv.convTranspose2d(x, Tensor.ones(4, 3, 3, 5), null, plain))
            .refuses(
                ShapeException.class,
                "must be [N, H, W, C]",
                () -> Conv.convTranspose2d(Tensor.ones(4, 4, 3), w, null, plain))
            .refuses(
                ShapeException.class,
                "must be [C, KH, KW, O / groups]",
                () -> Conv.convTranspose2d(x, Tensor.ones(3, 5), null, plain))
            .refuses(
                ShapeException.class,
                "bias [3] must have one element for each of the 5 outputs",
                () -> Conv.convTranspose2d(x, w, Tensor.ones(3), plain))
            .refuses(
                ShapeException.class,
                "2 groups must divide the 3 channels of x",
                () -> Conv.convTranspose2d(x, w, null, grouped(2)))
            .refuses(
                ShapeException.class,
                "the output would have 0 x 0 pixels",
                () -> Conv.convTranspose2d(x, w, null, ConvTranspose2dOptions.of(1, 3, 0)))
            .refuses(
                ShapeException.class,
                "nothing to spread",
                () -> Conv.convTranspose2d(Tensor.ones(2, 0, 4, 3), w, null, plain))
            .refuses(
                DTypeException.class,
                "x is FLOAT32 but weight is FLOAT64",
                () -> Conv.convTranspose2d(x, w.to(DType.FLOAT64), null, plain))
            .refuses(
                DTypeException.class,
                "x is INT32",
                () -> Conv.convTranspose2d(x.to(DType.INT32), w.to(DType.INT32), null, plain))
            .refuses(
                ArgumentException.class,
                "output padding (1, 1) must be at least 0 and below the stride (1, 1)",
                () -> ConvTranspose2dOptions.of(1, 0, 1)));
    specs.add(spec(ConvTranspose2dOptions.of(2, 1, 1)));
    specs.add(spec(ConvTranspose2dOptions.of(2, 0, 0)));
    specs.add(
        spec(
            new ConvTranspose2dOptions(
                Conv2dOptions.DEFAULT.withStride(1, 3).withPadding(0, 1).withDilation(2, 1),
                0,
                2)));
    specs.add(spec(grouped(2)));
    return specs;
  }

  private static ConvTranspose2dOptions grouped(int groups) {
    return new ConvTranspose2dOptions(Conv2dOptions.of(2, 1).withGroups(groups), 1, 1);
  }

  @Test
  void itIsTheGradientOfTheConvolutionThatItTransposes() {
    Tensor image = Tensor.randn(2, 7, 6, 4).requiresGrad(true);
    Tensor w = Tensor.randn(5, 3, 3, 4);
    Conv2dOptions options = Conv2dOptions.of(2, 1);
    Tensor y = Conv.conv2d(image, w, null, options);
    Tensor g = Tensor.randn(2, 4, 3, 5);
    Tensor gradient = Autograd.grad(y.mul(g).sum(), image)[0];
    Tensor same = Conv.convTranspose2d(g, w, null, new ConvTranspose2dOptions(options, 0, 1));
    assertEquals(Shape.of(2, 7, 6, 4), same.shape());
    assertArrayEquals(gradient.toFloats(), same.toFloats());
  }
}
