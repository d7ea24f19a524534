package io.gradus.tensor;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.List;

/** Two-dimensional convolution against seven nested loops. */
class ConvTest extends OpTestCase {
  private static final String CONV = "Conv.conv2d(Tensor,Tensor,Tensor,Conv2dOptions)";

  private static final String CONV_DEFAULT = "Conv.conv2d(Tensor,Tensor,Tensor)";

  /** Images, rows, columns, input and output channels of a group, kernel rows and columns. */
  private static final int[][] SIZES = {
    {2, 5, 6, 3, 4, 3, 3},
    {1, 6, 7, 1, 1, 3, 2},
    {0, 5, 5, 2, 3, 3, 3},
    {1, 5, 5, 1, 2, 1, 1},
    {3, 5, 6, 2, 1, 2, 3},
    {1, 9, 10, 17, 2, 5, 5},
    {1, 5, 7, 2, 3, 1, 3},
  };

  private static Tensor apply(Conv2dOptions options, Tensor... in) {
    Tensor bias = in.length > 2 ? in[2] : null;
    return options.equals(Conv2dOptions.DEFAULT)
        ? Conv.conv2d(in[0], in[1], bias)
        : Conv.conv2d(in[0], in[1], bias, options);
  }

  static Nd naive(Conv2dOptions o, Nd... in) {
    Nd x = in[0];
    Nd w = in[1];
    long spanH = o.dilationH() * (w.dim(1) - 1) + 1;
    long spanW = o.dilationW() * (w.dim(2) - 1) + 1;
    long[] dims = {
      x.dim(0),
      (x.dim(1) + 2 * o.padH() - spanH) / o.strideH() + 1,
      (x.dim(2) + 2 * o.padW() - spanW) / o.strideW() + 1,
      w.dim(0)
    };
    return Nd.generate(
        dims,
        at -> {
          double sum = in.length > 2 ? in[2].at(at[3]) : 0;
          long group = at[3] / (w.dim(0) / o.groups());
          for (long u = 0; u < w.dim(1); u++) {
            for (long v = 0; v < w.dim(2); v++) {
              long row = at[1] * o.strideH() + u * o.dilationH() - o.padH();
              long col = at[2] * o.strideW() + v * o.dilationW() - o.padW();
              if (row < 0 || row >= x.dim(1) || col < 0 || col >= x.dim(2)) {
                continue;
              }
              for (long k = 0; k < w.dim(3); k++) {
                sum += x.at(at[0], row, col, group * w.dim(3) + k) * w.at(at[3], u, v, k);
              }
            }
          }
          return sum;
        });
  }

  private static OpSpec withoutCases(Conv2dOptions options) {
    return OpSpec.op(options.equals(Conv2dOptions.DEFAULT) ? CONV_DEFAULT : CONV)
        .variant(options)
        .apply(in -> apply(options, in))
        .gives(in -> naive(options, in))
        .terms(in -> in[1].dim(1) * in[1].dim(2) * in[1].dim(3));
  }

  private static OpSpec spec(Conv2dOptions options) {
    OpSpec spec = withoutCases(options);
    long g = options.groups();
    boolean bias = true;
    for (int[] s : SIZES) {
      Operand x = Operand.x(s[0], s[1], s[2], s[3] * g);
      Operand w = Operand.x(s[4] * g, s[5], s[6], s[3]);
      if (bias) {
        spec.on(x, w, Operand.x(s[4] * g));
      } else {
        spec.on(x, w);
      }
      bias = !bias;
    }
    spec.on(Operand.x(1, 9, 11, 20 * g), Operand.x(24 * g, 3, 3, 20), Operand.x(24 * g));
    return spec.on(Operand.x(2, 5, 5, 2 * g).transposed(), Operand.x(g, 3, 3, 2).transposed())
        .on(
            Operand.x(2, 5, 5, 2 * g).sliced(),
            Operand.x(g, 2, 3, 2).sliced(),
            Operand.x(g).sliced())
        .on(Operand.x(2, 5, 5, 2 * g).expanded(), Operand.x(g, 3, 3, 2).expanded())
        .on(Operand.x(1, 5, 5, 2 * g).constant(), Operand.x(g, 3, 3, 2))
        .on(Operand.x(1, 5, 5, 2 * g), Operand.x(g, 3, 3, 2).constant());
  }

  private static OpSpec depthwise(Conv2dOptions options) {
    OpSpec spec = withoutCases(options);
    Operand w = Operand.x(8, 3, 3, 1);
    Operand bias = Operand.x(8);
    for (long[] images :
        new long[][] {
          {1, 5, 6, 4}, {2, 7, 5, 4}, {1, 1, 1, 4}, {0, 5, 5, 4}, {3, 6, 6, 4}, {1, 13, 11, 4}
        }) {
      spec.on(Operand.x(images), w, bias);
    }
    return spec.on(Operand.x(2, 5, 9, 4), w)
        .on(Operand.x(2, 6, 5, 4).transposed(), w, bias)
        .on(Operand.x(2, 6, 5, 4).sliced(), w.sliced(), bias.sliced())
        .on(Operand.x(2, 6, 5, 4).expanded(), w.expanded());
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    OpSpec plain = spec(Conv2dOptions.DEFAULT);
    specs.add(
        refusals(plain)
            .on(Operand.x(1, 1, 1, 1), Operand.x(1, 1, 1, 1), Operand.x(1))
            .on(Operand.x(1, 5, 3, 1), Operand.x(2, 5, 3, 1))
            .on(Operand.x(2, 12, 12, 16), Operand.x(32, 3, 3, 16), Operand.x(32)));
    specs.add(
        spec(Conv2dOptions.of(1, 1))
            .on(Operand.x(2, 14, 13, 16), Operand.x(32, 3, 3, 16), Operand.x(32)));
    // Each image channel has a kernel of its own, and two outputs.
    specs.add(depthwise(Conv2dOptions.of(1, 1).withGroups(4)));
    specs.add(depthwise(Conv2dOptions.of(2, 1).withGroups(4)));
    specs.add(spec(Conv2dOptions.of(2, 1)));
    specs.add(spec(Conv2dOptions.DEFAULT.withStride(1, 3).withPadding(2, 0)));
    specs.add(spec(Conv2dOptions.of(1, 2).withDilation(2, 1)));
    specs.add(spec(Conv2dOptions.of(2, 3).withDilation(1, 3).withGroups(2)));
    specs.add(spec(Conv2dOptions.of(1, 1).withGroups(3)));
    return specs;
  }

  private static OpSpec refusals(OpSpec spec) {
    Tensor x = Tensor.ones(8, 32, 32, 3);
    Tensor w = Tensor.ones(16, 3, 3, 3);
    return spec.refuses(
            ShapeException.class,
            "[conv2d] x has 3 channels but weight expects 4 (x [8, 32, 32, 3], weight [16, 3, 3,"
                + " 4])",
            () -> Conv.conv2d(x, Tensor.ones(16, 3, 3, 4), null))
        .refuses(
            ShapeException.class,
            "must be [N, H, W, C]",
            () -> Conv.conv2d(Tensor.ones(32, 32, 3), w, null))
        .refuses(
            ShapeException.class,
            "must be [O, KH, KW, C / groups]",
            () -> Conv.conv2d(x, Tensor.ones(16, 27), null))
        .refuses(
            ShapeException.class,
            "2 groups must divide",
            () -> Conv.conv2d(x, w, null, Conv2dOptions.DEFAULT.withGroups(2)))
        .refuses(
            ShapeException.class,
            "1 channels in each of 3 groups but weight expects 3",
            () ->
                Conv.conv2d(x, Tensor.ones(15, 3, 3, 3), null, Conv2dOptions.DEFAULT.withGroups(3)))
        .refuses(ShapeException.class, "bias [3]", () -> Conv.conv2d(x, w, Tensor.ones(3)))
        .refuses(
            ShapeException.class,
            "spans 5 x 3 pixels but the padded image has 4 x 4",
            () ->
                Conv.conv2d(
                    Tensor.ones(1, 4, 4, 3), w, null, Conv2dOptions.DEFAULT.withDilation(2, 1)))
        .refuses(
            ShapeException.class,
            "has no elements",
            () -> Conv.conv2d(x, Tensor.ones(0, 3, 3, 3), null))
        .refuses(
            DTypeException.class,
            "x is FLOAT32 but weight is FLOAT64",
            () -> Conv.conv2d(x, w.to(DType.FLOAT64), null))
        .refuses(
            DTypeException.class,
            "x is INT32",
            () -> Conv.conv2d(x.to(DType.INT32), w.to(DType.INT32), null))
        .refuses(ArgumentException.class, "[conv2d] stride (0, 1)", () -> stride(0, 1))
        .refuses(
            ArgumentException.class,
            "[conv2d] padding (-1, 0)",
            () -> Conv2dOptions.DEFAULT.withPadding(-1, 0))
        .refuses(
            ArgumentException.class,
            "[conv2d] dilation (1, 0)",
            () -> Conv2dOptions.DEFAULT.withDilation(1, 0))
        .refuses(
            ArgumentException.class,
            "[conv2d] groups 0",
            () -> Conv2dOptions.DEFAULT.withGroups(0));
  }

  private static Conv2dOptions stride(int rows, int columns) {
    return Conv2dOptions.DEFAULT.withStride(rows, columns);
  }
}
