package io.gradus.tensor;

import static java.util.Objects.requireNonNull;

import io.gradus.backend.Backend;
import io.gradus.backend.BatchNormShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.ConvShape;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/**
 * Batch normalisation in training, RELU and the convolution behind them as one node of the graph,
 * for backends that normalise x on its way into the product: what is convolved is never written,
 * nor kept for backward, which reads x instead and a mask of one bit an element. Inputs: x, the
 * kernel, then weight and bias of the normalisation and the bias of the convolution, those that
 * there are. Outputs: y, and with {@code gathers} its statistics, where no gradient flows.
 */
final class BatchNormConv2dFunction extends Function {
  private final ConvShape shape;
  private final BatchNormOptions options;
  private final @Nullable Tensor known;
  private final @Nullable Tensor runningMean;
  private final @Nullable Tensor runningVar;
  private final boolean gathers;
  private final int scaleAt;
  private final int shiftAt;
  private final int biasAt;

  /** The kernel in the type of x; until forward has used it. */
  private @Nullable Tensor multiplied;

  private boolean rounds;
  private boolean masked;

  /**
   * An application.
   *
   * @param options of the normalisation, in training with RELU
   * @param known mean and biased variance of x [2, C], or null
   * @param multiplied the kernel in the type of x
   * @param gathers whether statistics of y are wanted
   */
  BatchNormConv2dFunction(
      ConvShape shape,
      BatchNormOptions options,
      @Nullable Tensor known,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      Tensor multiplied,
      boolean gathers,
      boolean hasScale,
      boolean hasShift,
      boolean hasBias) {
    super("batchNormConv2d");
    this.shape = shape;
    this.options = options;
    this.known = known;
    this.runningMean = runningMean;
    this.runningVar = runningVar;
    this.multiplied = multiplied;
    this.gathers = gathers;
    int inputs = 2;
    this.scaleAt = hasScale ? inputs++ : -1;
    this.shiftAt = hasShift ? inputs++ : -1;
    this.biasAt = hasBias ? inputs : -1;
  }

  private static @Nullable Buffer dense(Tensor[] tensors, int at) {
    return at < 0 ? null : tensors[at].contiguous().buffer();
  }

  private static @Nullable Buffer buffer(@Nullable Tensor t) {
    return t == null ? null : t.buffer();
  }

  private boolean wants(int input) {
    return input >= 0 && needsGrad(input);
  }

  // --- what is saved: x, kernel, mean, invStd, the multiplied kernel, scale, shift, mask

  private Tensor savedKernel() {
    return saved(4);
  }

  private @Nullable Tensor savedScale() {
    return scaleAt < 0 ? null : saved(5);
  }

  private @Nullable Tensor savedShift() {
    return shiftAt < 0 ? null : saved(scaleAt < 0 ? 5 : 6);
  }

  private Tensor savedMask() {
    return saved(5 + (scaleAt < 0 ? 0 : 1) + (shiftAt < 0 ? 0 : 1));
  }

  @Override
  protected Tensor[] forward(Tensor... in) {
    Tensor x = in[0].contiguous();
    Tensor kernel = requireNonNull(multiplied);
    multiplied = null;
    rounds = kernel.dtype() != in[1].dtype();
    Tensor w = kernel.contiguous();
    Backend backend = x.backend();
    Tensor mean = mean(x);
    Tensor invStd = Tensor.empty(backend, Norm.statistics(x), Shape.of(x.size(-1)));
    statistics(x, mean, invStd);
    BatchNormFunction.noteChange(runningMean);
    BatchNormFunction.noteChange(runningVar);
    Tensor y = Tensor.empty(backend, x.dtype(), Conv.outputShape(shape));
    Tensor moments =
        gathers ? Tensor.empty(backend, Norm.statistics(y), Shape.of(2, shape.o())) : null;
    long words = isRecording() ? backend.batchNormMaskWords(x.numel()) : 0;
    Tensor mask = words == 0 ? null : Tensor.empty(backend, DType.INT32, Shape.of(words));
    masked =
        backend.conv2dNormalisedForward(
            x.buffer(),
            mean.buffer(),
            invStd.buffer(),
            dense(in, scaleAt),
            dense(in, shiftAt),
            w.buffer(),
            dense(in, biasAt),
            y.buffer(),
            buffer(moments),
            buffer(mask),
            shape);
    save(in[0], in[1], mean, invStd, rounds ? w : in[1]);
    for (int at : new int[] {scaleAt, shiftAt}) {
      if (at > 0) {
        save(in[at]);
      }
    }
    if (mask != null && masked) {
      save(mask);
    }
    return moments == null ? new Tensor[] {y} : new Tensor[] {y, moments};
  }

  private Tensor mean(Tensor x) {
    return known == null
        ? Tensor.empty(x.backend(), Norm.statistics(x), Shape.of(x.size(-1)))
        : known.select(0, 0);
  }

  private void statistics(Tensor x, Tensor mean, Tensor invStd) {
    BatchNormShape sizes = options.shape(x);
    if (known == null) {
      x.backend()
          .batchNormStatistics(
              x.buffer(),
              mean.buffer(),
              invStd.buffer(),
              buffer(runningMean),
              buffer(runningVar),
              sizes);
    } else {
      BatchNormFunction.finish(known, invStd, runningMean, runningVar, sizes);
    }
  }

  @Override
  protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
    @Nullable Tensor[] out = new Tensor[inputCount()];
    Tensor g = grads[0];
    if (g == null) {
      return out;
    }
    if (wants(biasAt)) {
      out[biasAt] = g.sum(0, 1, 2);
    }
    if (GradMode.isEnabled()) {
      compose(g, out);
    } else {
      fused(g.contiguous(), out);
    }
    return out;
  }

  private void fused(Tensor g, @Nullable Tensor[] out) {
    Tensor x = saved(0).contiguous();
    Tensor mean = saved(2);
    Tensor invStd = saved(3);
    Tensor scale = savedScale();
    Tensor shift = savedShift();
    Tensor denseScale = scale == null ? null : scale.contiguous();
    Tensor denseShift = shift == null ? null : shift.contiguous();
    Backend backend = x.backend();
    if (needsGrad(1)) {
      DType type = rounds ? DType.FLOAT32 : x.dtype();
      Tensor gradKernel = emptyGradient(1, backend, type, Conv.weightShape(shape));
      backend.conv2dNormalisedBackwardWeight(
          x.buffer(),
          mean.buffer(),
          invStd.buffer(),
          buffer(denseScale),
          buffer(denseShift),
          g.buffer(),
          gradKernel.buffer(),
          shape);
      out[1] = gradKernel;
    }
    if (!needsGrad(0) && !wants(scaleAt) && !wants(shiftAt)) {
      return;
    }
    Tensor gradZ =
        new Conv.Conv2dBackwardInput("conv2dBackwardInput", shape).apply(g, savedKernel());
    Tensor z = null;
    if (!masked) {
      z = Tensor.empty(backend, x.dtype(), x.shape());
      backend.batchNormApply(
          x.buffer(),
          mean.buffer(),
          invStd.buffer(),
          buffer(denseScale),
          buffer(denseShift),
          null,
          z.buffer(),
          options.shape(x));
    }
    Shape channels = Shape.of(x.size(-1));
    if (needsGrad(0)) {
      out[0] = emptyGradient(0, backend, x.dtype(), x.shape());
    }
    if (scale != null && wants(scaleAt)) {
      out[scaleAt] = emptyGradient(scaleAt, backend, scale.dtype(), channels);
    }
    if (shift != null && wants(shiftAt)) {
      out[shiftAt] = emptyGradient(shiftAt, backend, shift.dtype(), channels);
    }
    backend.batchNormBackward(
        gradZ.buffer(),
        x.buffer(),
        buffer(z),
        masked ? savedMask().buffer() : null,
        mean.buffer(),
        invStd.buffer(),
        buffer(denseScale),
        buffer(out[0]),
        scaleAt < 0 ? null : buffer(out[scaleAt]),
        shiftAt < 0 ? null : buffer(out[shiftAt]),
        null,
        options.shape(x));
  }

  /** The same in tensor expressions, which can be differentiated again. */
  private void compose(Tensor g, @Nullable Tensor[] out) {
    Tensor x = saved(0);
    Tensor scale = savedScale();
    Tensor shift = savedShift();
    Tensor z = Norm.batchNorm(x, scale, shift, null, null, options, null);
    if (needsGrad(1)) {
      DType type = rounds ? DType.FLOAT32 : x.dtype();
      out[1] = new Conv.Conv2dBackwardWeight(shape).apply(z.to(type), g.to(type));
    }
    Tensor gradZ =
        new Conv.Conv2dBackwardInput("conv2dBackwardInput", shape).apply(g, saved(1).to(g.dtype()));
    BatchNormGradient norm = new BatchNormGradient(gradZ, x, z, saved(2), saved(3), options);
    if (needsGrad(0)) {
      out[0] = norm.ofX(scale);
    }
    if (scale != null && wants(scaleAt)) {
      out[scaleAt] = norm.ofWeight(scale.dtype());
    }
    if (shift != null && wants(shiftAt)) {
      out[shiftAt] = norm.ofBias(shift.dtype());
    }
  }
}
