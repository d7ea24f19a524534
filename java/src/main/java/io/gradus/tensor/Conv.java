package io.gradus.tensor;

import io.gradus.backend.Activation;
import io.gradus.backend.Buffer;
import io.gradus.backend.ConvShape;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/** Two-dimensional convolution and its transpose. */
public final class Conv {
  private Conv() {}

  /** Stride 1, no padding: see {@link #conv2d(Tensor, Tensor, Tensor, Conv2dOptions)}. */
  public static Tensor conv2d(Tensor x, Tensor weight, @Nullable Tensor bias) {
    return conv2d(x, weight, bias, Conv2dOptions.DEFAULT);
  }

  /**
   * Convolves images with a bank of kernels, in the sense of the field: the kernel is not flipped
   * (cross-correlation).
   *
   * <pre>{@code
   * y[n, i, j, o] = bias[o] + sum over u, v, k of w[o, u, v, k]
   *     x[n, i strideH + u dilationH - padH, j strideW + v dilationW - padW, g(o) + k]
   * }</pre>
   *
   * where x is 0 outside the image and g(o) is the first channel of the group of output o.
   *
   * <p>Shapes: x: [N, H, W, C], weight: [O, KH, KW, C / groups], bias: [O] -> y: [N, OH, OW, O]
   * with OH = floor((H + 2 padH - dilationH (KH - 1) - 1) / strideH) + 1, OW likewise. N may be 0.
   * Any floating type, the same for all; 16-bit types sum in float32. Differentiable any number of
   * times. On {@code cpu}, kernels of 3 x 3 with stride 1 and at least 16 channels on both sides
   * may be computed by Winograd's algorithm, except in float64: with two to three times the error
   * of plain sums (6.5e-7 of the results with 64 channels, root mean square), and an infinity or a
   * NaN may reach four pixels further.
   *
   * <p>Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
   *
   * <pre>{@code
   * Tensor y = Conv.conv2d(images, weight, null, Conv2dOptions.of(1, 1));   // 3x3, same size
   * }</pre>
   *
   * @param bias added to every pixel, or null
   * @throws io.gradus.core.ShapeException when ranks, channels or groups do not fit, or the kernel
   *     is larger than the padded image
   * @throws io.gradus.core.DTypeException when the types differ or are not floating
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor conv2d(
      Tensor x, Tensor weight, @Nullable Tensor bias, Conv2dOptions options) {
    try (Scope s = Scope.open()) {
      return s.keep(convolveAll(x, weight, bias, options, false)[0]);
    }
  }

  /** With statistics of the result behind it where they are wanted and there are any. */
  static Tensor[] convolveAll(
      Tensor x, Tensor weight, @Nullable Tensor bias, Conv2dOptions options, boolean gathers) {
    Tensor image = Precision.product(x);
    Tensor parameter = Precision.weight(weight);
    Tensor kernel = Precision.product(parameter.detach());
    Tensor offset = bias == null ? null : Precision.product(bias);
    ConvShape shape = check(image, kernel, offset, options);
    Conv2d convolution = new Conv2d(shape, gathers && hasMoments(shape), kernel);
    return convolution.applyAll(Norm.present(image, parameter, offset));
  }

  /** Whether a channel of the result has a variance. */
  static boolean hasMoments(ConvShape shape) {
    return (long) shape.n() * shape.oh() * shape.ow() > 1;
  }

  /**
   * A convolution and batch normalisation by the batch's own statistics, as in training: {@link
   * #conv2d} and {@link Norm#batchNorm(Tensor, Tensor, Tensor, Tensor, Tensor, BatchNormOptions,
   * Tensor)}, with the same result but for the order of sums. Backends that can gather the
   * statistics while they convolve spare a pass over the result.
   *
   * <p>Shapes: x: [N, H, W, C], weight: [O, KH, KW, C / groups], bias, scale, shift, runningMean,
   * runningVar: [O], residual: [N, OH, OW, O] -> y: [N, OH, OW, O]
   *
   * <p>Source: Jung et al., "Restructuring batch normalization to accelerate CNN training", MLSys
   * 2019.
   *
   * <pre>{@code
   * Tensor y = Conv.conv2dBatchNorm(x, weight, null, Conv2dOptions.of(1, 1),
   *     gamma, beta, mean, var, 0.1, 1e-5, Activation.RELU, null);
   * }</pre>
   *
   * @param bias of the convolution, or null
   * @param scale weight of the normalisation, or null for 1
   * @param shift bias of the normalisation, or null for 0
   * @param runningMean updated, or null
   * @param runningVar updated, or null
   * @param momentum weight of this batch in the running statistics
   * @param eps added to the variance
   * @param activation applied last
   * @param residual added before the activation, or null
   * @throws io.gradus.core.ShapeException when shapes do not fit, or a channel of the convolution
   *     has less than two values
   * @throws io.gradus.core.DTypeException when types differ or are not floating
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor conv2dBatchNorm(
      Tensor x,
      Tensor weight,
      @Nullable Tensor bias,
      Conv2dOptions options,
      @Nullable Tensor scale,
      @Nullable Tensor shift,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      double momentum,
      double eps,
      Activation activation,
      @Nullable Tensor residual) {
    BatchNormOptions norm = new BatchNormOptions(true, momentum, eps, activation);
    try (Convolved y = Convolved.conv2d(x, weight, bias, options)) {
      return y.batchNorm(scale, shift, runningMean, runningVar, norm, residual);
    }
  }

  /**
   * Batch normalisation by the batch's own statistics, as in training, RELU and a convolution:
   * {@link Norm#batchNorm(Tensor, Tensor, Tensor, Tensor, Tensor, BatchNormOptions, Tensor)} and
   * {@link #conv2d}, with the same result but for the order of the statistics' sums. Backends that
   * can normalise x on its way into the product, and gain by it, neither write what is convolved
   * nor keep it for backward: CUDA devices of capability 9.0 do, for kernels of 1 x 1 with stride
   * 1, types of 16 bits and not too many outputs. With the same statistics they give the same bits.
   *
   * <pre>{@code
   * y = conv2d(max((x - mean) / sqrt(variance + eps) scale + shift, 0), weight, bias)
   * }</pre>
   *
   * <p>Shapes: x: [N, H, W, C], scale, shift, runningMean, runningVar: [C], weight: [O, KH, KW, C /
   * groups], bias: [O] -> y: [N, OH, OW, O]
   *
   * <p>Source: Jung et al., "Restructuring batch normalization to accelerate CNN training", MLSys
   * 2019.
   *
   * <pre>{@code
   * Tensor y = Conv.batchNormConv2d(
   *     x, gamma, beta, mean, var, 0.1, 1e-5, weight, null, Conv2dOptions.DEFAULT);
   * }</pre>
   *
   * @param scale weight of the normalisation, or null for 1
   * @param shift bias of the normalisation, or null for 0
   * @param runningMean updated, or null
   * @param runningVar updated, or null
   * @param momentum weight of this batch in the running statistics
   * @param eps added to the variance
   * @param weight of the convolution
   * @param bias of the convolution, or null
   * @throws io.gradus.core.ShapeException when shapes do not fit, or a channel of x has less than
   *     two values
   * @throws io.gradus.core.DTypeException when types differ or are not floating
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor batchNormConv2d(
      Tensor x,
      @Nullable Tensor scale,
      @Nullable Tensor shift,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      double momentum,
      double eps,
      Tensor weight,
      @Nullable Tensor bias,
      Conv2dOptions options) {
    return Convolved.of(x)
        .batchNormConv2d(
            scale, shift, runningMean, runningVar, momentum, eps, weight, bias, options, false)
        .image();
  }

  /**
   * Spreads every pixel over a patch of a larger image: the gradient of {@link #conv2d} with
   * respect to its input, as an operation of its own. It is also called fractionally strided
   * convolution, and, loosely, deconvolution.
   *
   * <pre>{@code
   * y[n, i strideH + u dilationH - padH, j strideW + v dilationW - padW, g(k) + o]
   *     = bias[g(k) + o] + sum over k, u, v of x[n, i, j, k] w[k, u, v, o]
   * }</pre>
   *
   * where g(k) is the first output channel of the group of input channel k, and what falls outside
   * the output is dropped.
   *
   * <p>Shapes: x: [N, H, W, C], weight: [C, KH, KW, O / groups], bias: [O] -> y: [N, OH, OW, O]
   * with OH = (H - 1) strideH - 2 padH + dilationH (KH - 1) + outputPadH + 1, OW likewise.
   * PyTorch's weight is [C, O / groups, KH, KW]: permute it by (0, 2, 3, 1). Any floating type, the
   * same for all; 16-bit types sum in float32. Differentiable any number of times.
   *
   * <p>Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016,
   * chapter 4.
   *
   * <pre>{@code
   * Tensor y = Conv.convTranspose2d(x, weight, null, ConvTranspose2dOptions.of(2, 1, 1));
   * }</pre>
   *
   * @param bias added to every pixel, or null
   * @throws io.gradus.core.ShapeException when ranks, channels or groups do not fit, or the output
   *     would have no pixel
   * @throws io.gradus.core.DTypeException when the types differ or are not floating
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor convTranspose2d(
      Tensor x, Tensor weight, @Nullable Tensor bias, ConvTranspose2dOptions options) {
    try (Scope s = Scope.open()) {
      return s.keep(
          spread(
              Precision.product(x),
              Precision.product(weight),
              bias == null ? null : Precision.product(bias),
              options));
    }
  }

  private static Tensor spread(
      Tensor x, Tensor weight, @Nullable Tensor bias, ConvTranspose2dOptions options) {
    ConvShape shape = checkTranspose(x, weight, bias, options);
    Tensor y = new Conv2dBackwardInput("convTranspose2d", shape).apply(x, weight);
    return bias == null ? y : y.add(bias);
  }

  /** The convolution whose output has the shape of x. */
  private static ConvShape checkTranspose(
      Tensor x, Tensor weight, @Nullable Tensor bias, ConvTranspose2dOptions options) {
    String op = "convTranspose2d";
    Conv2dOptions o = options.convolution();
    Checks.shape(
        x.rank() == 4, "[%s] x %s must be [N, H, W, C]: 4 axes, not %d", op, x.shape(), x.rank());
    Checks.shape(
        weight.rank() == 4,
        "[%s] weight %s must be [C, KH, KW, O / groups]: 4 axes, not %d",
        op,
        weight.shape(),
        weight.rank());
    Checks.dtype(
        x.dtype().isFloating(),
        "[%s] x is %s but must be of a floating type: convert it with to(DType.FLOAT32)",
        op,
        x.dtype());
    Operands.check(op, x, "weight", weight);
    Checks.shape(
        weight.numel() > 0 && x.size(1) > 0 && x.size(2) > 0,
        "[%s] nothing to spread: x %s, weight %s",
        op,
        x.shape(),
        weight.shape());
    Checks.shape(
        x.size(3) == weight.size(0),
        "[%s] x has %d channels but weight expects %d (x %s, weight %s)",
        op,
        x.size(3),
        weight.size(0),
        x.shape(),
        weight.shape());
    Checks.shape(
        x.size(3) % o.groups() == 0,
        "[%s] %d groups must divide the %d channels of x (x %s)",
        op,
        o.groups(),
        x.size(3),
        x.shape());
    long outputs = weight.size(3) * o.groups();
    if (bias != null) {
      Operands.check(op, x, "bias", bias);
      Checks.shape(
          bias.rank() == 1 && bias.size(0) == outputs,
          "[%s] bias %s must have one element for each of the %d outputs: [%d] (weight %s)",
          op,
          bias.shape(),
          outputs,
          outputs,
          weight.shape());
    }
    long rows =
        (x.size(1) - 1) * o.strideH()
            - 2L * o.padH()
            + o.dilationH() * (weight.size(1) - 1)
            + options.outputPadH()
            + 1;
    long columns =
        (x.size(2) - 1) * o.strideW()
            - 2L * o.padW()
            + o.dilationW() * (weight.size(2) - 1)
            + options.outputPadW()
            + 1;
    Checks.shape(
        rows > 0 && columns > 0,
        "[%s] the output would have %d x %d pixels: use less padding (x %s, weight %s)",
        op,
        rows,
        columns,
        x.shape(),
        weight.shape());
    return new ConvShape(
        Math.toIntExact(x.size(0)),
        Math.toIntExact(rows),
        Math.toIntExact(columns),
        Math.toIntExact(outputs),
        Math.toIntExact(x.size(3)),
        Math.toIntExact(weight.size(1)),
        Math.toIntExact(weight.size(2)),
        o.strideH(),
        o.strideW(),
        o.padH(),
        o.padW(),
        o.dilationH(),
        o.dilationW(),
        o.groups());
  }

  static ConvShape check(Tensor x, Tensor weight, @Nullable Tensor bias, Conv2dOptions o) {
    Checks.shape(
        x.rank() == 4, "[conv2d] x %s must be [N, H, W, C]: 4 axes, not %d", x.shape(), x.rank());
    Checks.shape(
        weight.rank() == 4,
        "[conv2d] weight %s must be [O, KH, KW, C / groups]: 4 axes, not %d",
        weight.shape(),
        weight.rank());
    Checks.dtype(
        x.dtype().isFloating(),
        "[conv2d] x is %s but must be of a floating type: convert it with to(DType.FLOAT32)",
        x.dtype());
    Operands.check("conv2d", x, "weight", weight);
    long outputs = weight.size(0);
    Checks.shape(weight.numel() > 0, "[conv2d] weight %s has no elements", weight.shape());
    Checks.shape(
        x.size(3) % o.groups() == 0 && outputs % o.groups() == 0,
        "[conv2d] %d groups must divide both the %d channels of x and the %d of the output (x %s,"
            + " weight %s)",
        o.groups(),
        x.size(3),
        outputs,
        x.shape(),
        weight.shape());
    Checks.shape(
        x.size(3) / o.groups() == weight.size(3),
        "[conv2d] x has %d channels%s but weight expects %d (x %s, weight %s)",
        x.size(3) / o.groups(),
        o.groups() == 1 ? "" : " in each of " + o.groups() + " groups",
        weight.size(3),
        x.shape(),
        weight.shape());
    if (bias != null) {
      Operands.check("conv2d", x, "bias", bias);
      Checks.shape(
          bias.rank() == 1 && bias.size(0) == outputs,
          "[conv2d] bias %s must have one element for each of the %d outputs: [%d] (weight %s)",
          bias.shape(),
          outputs,
          outputs,
          weight.shape());
    }
    long spanH = o.dilationH() * (weight.size(1) - 1) + 1;
    long spanW = o.dilationW() * (weight.size(2) - 1) + 1;
    Checks.shape(
        spanH <= x.size(1) + 2L * o.padH() && spanW <= x.size(2) + 2L * o.padW(),
        "[conv2d] the kernel spans %d x %d pixels but the padded image has %d x %d: use more"
            + " padding or a smaller kernel or dilation (x %s, weight %s)",
        spanH,
        spanW,
        x.size(1) + 2L * o.padH(),
        x.size(2) + 2L * o.padW(),
        x.shape(),
        weight.shape());
    return new ConvShape(
        Math.toIntExact(x.size(0)),
        Math.toIntExact(x.size(1)),
        Math.toIntExact(x.size(2)),
        Math.toIntExact(x.size(3)),
        Math.toIntExact(outputs),
        Math.toIntExact(weight.size(1)),
        Math.toIntExact(weight.size(2)),
        o.strideH(),
        o.strideW(),
        o.padH(),
        o.padW(),
        o.dilationH(),
        o.dilationW(),
        o.groups());
  }

  private static Shape inputShape(ConvShape s) {
    return Shape.of(s.n(), s.h(), s.w(), s.c());
  }

  static Shape weightShape(ConvShape s) {
    return Shape.of(s.o(), s.kh(), s.kw(), s.c() / s.groups());
  }

  static Shape outputShape(ConvShape s) {
    return Shape.of(s.n(), s.oh(), s.ow(), s.o());
  }

  /**
   * y(x, w) + bias. It and the two below are one trilinear form, so each is the others' gradient.
   * The weight that it is applied to may be the FLOAT32 one of which a rounded copy is multiplied:
   * its gradient is FLOAT32 then, of sums that are not rounded.
   */
  private static final class Conv2d extends Function {
    private final ConvShape shape;
    private final boolean withStatistics;
    private @Nullable Tensor multiplied;
    private boolean rounds;

    Conv2d(ConvShape shape) {
      super("conv2d");
      this.shape = shape;
      this.withStatistics = false;
    }

    /**
     * With statistics of y as a second result, for batch normalisation: no gradient flows there.
     *
     * @param weight to multiply with, of the type of x
     */
    Conv2d(ConvShape shape, boolean withStatistics, Tensor weight) {
      super("conv2d");
      this.shape = shape;
      this.withStatistics = withStatistics;
      this.multiplied = weight;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor weight = multiplied == null ? in[1] : multiplied;
      Tensor w = weight.contiguous();
      rounds = w.dtype() != in[1].dtype();
      multiplied = null;
      Buffer bias = in.length > 2 ? in[2].contiguous().buffer() : null;
      Tensor y = Tensor.empty(x.backend(), x.dtype(), outputShape(shape));
      save(in[0], in[1]);
      if (rounds) {
        save(w);
      }
      if (!withStatistics) {
        x.backend().conv2dForward(x.buffer(), w.buffer(), bias, y.buffer(), shape);
        return new Tensor[] {y};
      }
      Tensor statistics =
          Tensor.empty(x.backend(), Norm.statistics(y), Shape.of(2, y.shape().dim(-1)));
      x.backend()
          .conv2dForwardStatistics(
              x.buffer(), w.buffer(), bias, y.buffer(), statistics.buffer(), shape);
      return new Tensor[] {y, statistics};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      @Nullable Tensor[] out = new Tensor[inputCount()];
      Tensor g = grads[0];
      if (g == null) {
        return out;
      }
      if (needsGrad(0)) {
        boolean isGraph = GradMode.isEnabled();
        Tensor w = rounds && !isGraph ? saved(2) : saved(1).to(g.dtype());
        out[0] = new Conv2dBackwardInput("conv2dBackwardInput", shape).apply(g, w);
      }
      if (needsGrad(1)) {
        out[1] = gradWeight(saved(0), g);
      }
      if (needsGrad(2)) {
        out[2] = g.sum(0, 1, 2);
      }
      return out;
    }

    private Tensor gradWeight(Tensor x, Tensor gradY) {
      DType type = rounds ? DType.FLOAT32 : x.dtype();
      if (GradMode.isEnabled()) {
        return new Conv2dBackwardWeight(shape).apply(x.to(type), gradY.to(type));
      }
      Tensor gradW = emptyGradient(1, x.backend(), type, weightShape(shape));
      x.backend()
          .conv2dBackwardWeight(
              x.contiguous().buffer(), gradY.contiguous().buffer(), gradW.buffer(), shape);
      return gradW;
    }
  }

  /** gradX(gradY, w), which is the transposed convolution too. */
  static final class Conv2dBackwardInput extends Function {
    private final ConvShape shape;

    Conv2dBackwardInput(String name, ConvShape shape) {
      super(name);
      this.shape = shape;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor gradY = in[0].contiguous();
      Tensor w = in[1].contiguous();
      Tensor gradX = Tensor.empty(w.backend(), w.dtype(), inputShape(shape));
      w.backend().conv2dBackwardInput(gradY.buffer(), w.buffer(), gradX.buffer(), shape);
      save(in[0], in[1]);
      return new Tensor[] {gradX};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      @Nullable Tensor[] out = new Tensor[2];
      Tensor g = grads[0];
      if (g == null) {
        return out;
      }
      if (needsGrad(0)) {
        out[0] = new Conv2d(shape).apply(g, saved(1));
      }
      if (needsGrad(1)) {
        out[1] = new Conv2dBackwardWeight(shape).apply(g, saved(0));
      }
      return out;
    }
  }

  /** gradW(x, gradY). */
  static final class Conv2dBackwardWeight extends Function {
    private final ConvShape shape;

    Conv2dBackwardWeight(ConvShape shape) {
      super("conv2dBackwardWeight");
      this.shape = shape;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor gradY = in[1].contiguous();
      Tensor gradW = Tensor.empty(x.backend(), x.dtype(), weightShape(shape));
      x.backend().conv2dBackwardWeight(x.buffer(), gradY.buffer(), gradW.buffer(), shape);
      save(in[0], in[1]);
      return new Tensor[] {gradW};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      @Nullable Tensor[] out = new Tensor[2];
      Tensor g = grads[0];
      if (g == null) {
        return out;
      }
      if (needsGrad(0)) {
        out[0] = new Conv2dBackwardInput("conv2dBackwardInput", shape).apply(saved(1), g);
      }
      if (needsGrad(1)) {
        out[1] = new Conv2d(shape).apply(saved(0), g);
      }
      return out;
    }
  }
}
