package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.core.Checks;
import io.gradus.tensor.BatchNormOptions;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.Convolved;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/** What batch norms have in common: the channel is the last axis, whatever stands before it. */
abstract class BatchNorm extends Module implements TakesEpilogue {
  static final double MOMENTUM = 0.1;
  static final double EPS = 1e-5;

  private final Tensor weight;
  private final Tensor bias;
  private final Tensor runningMean;
  private final Tensor runningVar;
  private final double momentum;
  private final double eps;

  BatchNorm(long channels, double momentum, double eps) {
    Checks.argument(channels > 0, "[batchNorm] %d channels: must be positive", channels);
    Checks.argument(
        0 <= momentum && momentum <= 1, "[batchNorm] momentum %s must be in [0, 1]", momentum);
    Checks.argument(eps >= 0, "[batchNorm] eps %s must be >= 0", eps);
    this.momentum = momentum;
    this.eps = eps;
    weight = registerParameter("weight", Tensor.ones(channels));
    bias = registerParameter("bias", Tensor.zeros(channels));
    runningMean = registerBuffer("running_mean", Tensor.zeros(channels));
    runningVar = registerBuffer("running_var", Tensor.ones(channels));
  }

  /** The factor after normalisation [C]. */
  public final Tensor weight() {
    return weight;
  }

  /** What is added after normalisation [C]. */
  public final Tensor bias() {
    return bias;
  }

  /** The moving average of means [C]. */
  public final Tensor runningMean() {
    return runningMean;
  }

  /** The moving average of unbiased variances [C]. */
  public final Tensor runningVar() {
    return runningVar;
  }

  /** Requires the axes that the class is for. */
  abstract void checkRank(Tensor x);

  @Override
  public final Tensor forward(Tensor x) {
    return forward(x, null, Activation.NONE);
  }

  @Override
  public final boolean takesEpilogue() {
    return !hasHooks();
  }

  @Override
  public final Tensor forward(Tensor x, @Nullable Tensor residual, Activation activation) {
    return forward(Convolved.of(x), residual, activation);
  }

  /** Of what a convolution left, with its statistics. */
  final Tensor forward(Convolved x, @Nullable Tensor residual, Activation activation) {
    checkRank(x.image());
    return x.batchNorm(
        weight,
        bias,
        runningMean,
        runningVar,
        new BatchNormOptions(isTraining(), momentum, eps, activation),
        residual);
  }

  /**
   * Whether it may be one operation with the convolution on either side: in training, unwatched.
   */
  final boolean joinsConvolution() {
    return isTraining() && !hasHooks();
  }

  /** With RELU and the convolution behind it. */
  final Convolved forward(
      Convolved x,
      Tensor kernel,
      @Nullable Tensor kernelBias,
      Conv2dOptions options,
      boolean gathers) {
    checkRank(x.image());
    return x.batchNormConv2d(
        weight, bias, runningMean, runningVar, momentum, eps, kernel, kernelBias, options, gathers);
  }

  @Override
  protected final String describe() {
    return getClass().getSimpleName() + "(" + weight.numel() + ")";
  }
}
