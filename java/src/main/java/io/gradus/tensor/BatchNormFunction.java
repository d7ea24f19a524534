package io.gradus.tensor;

import static java.util.Objects.requireNonNull;

import io.gradus.backend.Activation;
import io.gradus.backend.Backend;
import io.gradus.backend.BatchNormShape;
import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/**
 * Batch normalisation as one node of the graph. Inputs: x, then weight, bias and residual, those
 * that there are. In training it keeps the batch's statistics, not the running ones, which the next
 * batch changes.
 */
final class BatchNormFunction extends Function {
  private final @Nullable Tensor statistics;
  private final @Nullable Tensor runningMean;
  private final @Nullable Tensor runningVar;
  private final BatchNormOptions options;
  private final int weightAt;
  private final int biasAt;
  private final int residualAt;
  private int maskAt = -1;
  private DType biasType = DType.FLOAT32;

  /**
   * An application.
   *
   * @param statistics mean and biased variance of x [2, C], where they are known already
   */
  BatchNormFunction(
      @Nullable Tensor statistics,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      BatchNormOptions options,
      boolean hasWeight,
      boolean hasBias,
      boolean hasResidual) {
    super("batchNorm");
    this.statistics = statistics;
    this.runningMean = runningMean;
    this.runningVar = runningVar;
    this.options = options;
    int inputs = 1;
    this.weightAt = hasWeight ? inputs++ : -1;
    this.biasAt = hasBias ? inputs++ : -1;
    this.residualAt = hasResidual ? inputs : -1;
  }

  private static @Nullable Buffer dense(Tensor[] tensors, int at) {
    return at < 0 ? null : tensors[at].contiguous().buffer();
  }

  @Override
  protected Tensor[] forward(Tensor... in) {
    Tensor x = in[0].contiguous();
    Backend backend = x.backend();
    Tensor y = Tensor.empty(backend, x.dtype(), x.shape());
    Tensor mask = emptyMask(x);
    Tensor mean;
    Tensor invStd;
    boolean masked;
    if (options.training() && statistics == null) {
      Shape channels = Shape.of(x.size(-1));
      mean = Tensor.empty(backend, Norm.statistics(x), channels);
      invStd = Tensor.empty(backend, Norm.statistics(x), channels);
      masked =
          backend.batchNormForward(
              x.buffer(),
              dense(in, weightAt),
              dense(in, biasAt),
              dense(in, residualAt),
              y.buffer(),
              buffer(mask),
              mean.buffer(),
              invStd.buffer(),
              buffer(runningMean),
              buffer(runningVar),
              options.shape(x));
    } else {
      if (options.training()) {
        Tensor known = requireNonNull(statistics);
        mean = known.select(0, 0);
        invStd = Tensor.empty(backend, Norm.statistics(x), Shape.of(x.size(-1)));
        finish(known, invStd, runningMean, runningVar, options.shape(x));
      } else {
        // Copies: a later step of training may change the running statistics before backward.
        mean = requireNonNull(runningMean).to(Norm.statistics(x)).copy();
        invStd = requireNonNull(runningVar).to(Norm.statistics(x)).add(options.eps()).rsqrt();
      }
      masked = apply(in, x, mean, invStd, y, mask);
    }
    if (options.training()) {
      noteChange(runningMean);
      noteChange(runningVar);
    }
    save(in[0], mean, invStd);
    if (options.activation() == Activation.RELU) {
      save(y);
    }
    if (weightAt > 0) {
      save(in[weightAt]);
    }
    if (mask != null && masked) {
      maskAt = 4 + (weightAt > 0 ? 1 : 0);
      save(mask);
    }
    if (biasAt > 0) {
      biasType = in[biasAt].dtype();
    }
    return new Tensor[] {y};
  }

  /** Room for RELU's mask as bits; null where that is not to be had or not needed. */
  private @Nullable Tensor emptyMask(Tensor x) {
    long words = x.backend().batchNormMaskWords(x.numel());
    if (words == 0 || options.activation() != Activation.RELU || !isRecording()) {
      return null;
    }
    return Tensor.empty(x.backend(), DType.INT32, Shape.of(words));
  }

  /** With statistics that are known; says whether the mask was written. */
  private boolean apply(
      Tensor[] in, Tensor x, Tensor mean, Tensor invStd, Tensor y, @Nullable Tensor mask) {
    Buffer weight = dense(in, weightAt);
    Buffer bias = dense(in, biasAt);
    Buffer residual = dense(in, residualAt);
    BatchNormShape shape = options.shape(x);
    if (mask != null
        && x.backend()
            .batchNormApplyMasked(
                x.buffer(),
                mean.buffer(),
                invStd.buffer(),
                weight,
                bias,
                residual,
                y.buffer(),
                mask.buffer(),
                shape)) {
      return true;
    }
    x.backend()
        .batchNormApply(
            x.buffer(), mean.buffer(), invStd.buffer(), weight, bias, residual, y.buffer(), shape);
    return false;
  }

  /** invStd of statistics [2, C] that are known, which move the running ones on. */
  static void finish(
      Tensor known,
      Tensor invStd,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      BatchNormShape shape) {
    long channels = invStd.numel();
    Buffer both = known.buffer();
    known
        .backend()
        .batchNormFinish(
            both.slice(0, channels),
            both.slice(channels, channels),
            invStd.buffer(),
            buffer(runningMean),
            buffer(runningVar),
            shape);
  }

  static void noteChange(@Nullable Tensor running) {
    if (running != null) {
      running.memory().bumpVersion();
    }
  }

  private @Nullable Tensor savedOutput() {
    return options.activation() == Activation.RELU ? saved(3) : null;
  }

  private @Nullable Tensor savedWeight() {
    return weightAt < 0 ? null : saved(options.activation() == Activation.RELU ? 4 : 3);
  }

  @Override
  protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
    @Nullable Tensor[] out = new Tensor[inputCount()];
    Tensor g = grads[0];
    if (g != null && GradMode.isEnabled()) {
      compose(g, out);
    } else if (g != null) {
      fused(g, out);
    }
    return out;
  }

  private static @Nullable Buffer buffer(@Nullable Tensor t) {
    return t == null ? null : t.buffer();
  }

  private void fused(Tensor gradient, @Nullable Tensor[] out) {
    Tensor g = gradient.contiguous();
    Tensor x = saved(0).contiguous();
    Backend backend = x.backend();
    Shape channels = Shape.of(x.size(-1));
    Tensor y = savedOutput();
    Tensor weight = savedWeight();
    Tensor denseWeight = weight == null ? null : weight.contiguous();
    if (needsGrad(0)) {
      out[0] = emptyGradient(0, backend, x.dtype(), x.shape());
    }
    @Nullable Tensor gradWeight = null;
    if (weight != null && needsGrad(weightAt)) {
      gradWeight = emptyGradient(weightAt, backend, weight.dtype(), channels);
      out[weightAt] = gradWeight;
    }
    @Nullable Tensor gradBias = null;
    if (biasAt > 0 && needsGrad(biasAt)) {
      gradBias = emptyGradient(biasAt, backend, biasType, channels);
      out[biasAt] = gradBias;
    }
    @Nullable Tensor gradResidual = null;
    if (residualAt > 0 && needsGrad(residualAt)) {
      if (y == null) {
        out[residualAt] = g;
      } else {
        gradResidual = Tensor.empty(backend, x.dtype(), x.shape());
        out[residualAt] = gradResidual;
      }
    }
    backend.batchNormBackward(
        g.buffer(),
        x.buffer(),
        buffer(y),
        maskAt < 0 ? null : saved(maskAt).buffer(),
        saved(1).buffer(),
        saved(2).buffer(),
        buffer(denseWeight),
        buffer(out[0]),
        buffer(gradWeight),
        buffer(gradBias),
        buffer(gradResidual),
        options.shape(x));
  }

  /** The same in tensor expressions, which can be differentiated again. */
  private void compose(Tensor gradient, @Nullable Tensor[] out) {
    Tensor weight = savedWeight();
    BatchNormGradient composed =
        new BatchNormGradient(gradient, saved(0), savedOutput(), saved(1), saved(2), options);
    if (needsGrad(0)) {
      out[0] = composed.ofX(weight);
    }
    if (weight != null && needsGrad(weightAt)) {
      out[weightAt] = composed.ofWeight(weight.dtype());
    }
    if (biasAt > 0 && needsGrad(biasAt)) {
      out[biasAt] = composed.ofBias(biasType);
    }
    if (residualAt > 0 && needsGrad(residualAt)) {
      out[residualAt] = composed.ofResidual();
    }
  }
}
