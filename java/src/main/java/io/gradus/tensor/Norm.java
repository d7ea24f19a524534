package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Normalisation over a batch, a row, or a group of channels. */
public final class Norm {
  private Norm() {}

  /**
   * Batch normalisation without activation; see {@link #batchNorm(Tensor, Tensor, Tensor, Tensor,
   * Tensor, BatchNormOptions, Tensor)}.
   *
   * @param x [.., C], channels last
   * @param weight [C], or null for 1
   * @param bias [C], or null for 0
   * @param runningMean [C], or null in training
   * @param runningVar [C], or null in training
   * @param training whether the batch's own statistics are used
   * @param momentum weight of this batch in the running statistics; 0.1 is usual
   * @param eps added to the variance; 1e-5 is usual
   * @return y, [.., C]
   * @throws io.gradus.core.ShapeException when shapes do not fit or, in training, a channel has
   *     less than two values
   * @throws io.gradus.core.ArgumentException when running statistics are missing outside training
   */
  public static Tensor batchNorm(
      Tensor x,
      @Nullable Tensor weight,
      @Nullable Tensor bias,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      boolean training,
      double momentum,
      double eps) {
    BatchNormOptions options = BatchNormOptions.of(training, momentum, eps);
    return batchNorm(x, weight, bias, runningMean, runningVar, options, null);
  }

  /**
   * Normalises every channel (last axis) over all other axes, then scales, shifts, adds a residual
   * and applies an activation, in one operation.
   *
   * <pre>{@code
   * y = activation((x - mean) / sqrt(variance + eps) weight + bias + residual)
   * }</pre>
   *
   * <p>In training mean and (biased) variance are those of x, and the running statistics are
   * updated in place: {@code running = (1 - momentum) running + momentum batch}, with the unbiased
   * variance. (Texts that write {@code momentum running + (1 - momentum) batch} mean 1 - momentum.)
   * Else the running statistics take their place.
   *
   * <p>Shapes: {@code x, residual: [.., C]; weight, bias, runningMean, runningVar: [C] -> y: [..,
   * C]}
   *
   * <p>For 16-bit x the statistics are float32, and weight and bias may be.
   *
   * <p>Source: Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing
   * internal covariate shift", ICML 2015.
   *
   * <pre>{@code
   * Tensor y = Norm.batchNorm(
   *     x, gamma, beta, mean, var, BatchNormOptions.of(true, 0.1, 1e-5).withActivation(RELU), null);
   * }</pre>
   *
   * @param x [.., C], channels last, at least two axes
   * @param weight [C], or null for 1
   * @param bias [C], or null for 0
   * @param runningMean [C], or null in training
   * @param runningVar [C], or null in training
   * @param options whether it trains, momentum, eps and activation
   * @param residual [.., C], added before the activation, or null
   * @return y, [.., C]
   * @throws io.gradus.core.ShapeException when shapes do not fit or, in training, a channel has
   *     less than two values
   * @throws io.gradus.core.ArgumentException when running statistics are missing outside training
   * @throws io.gradus.core.DTypeException when types do not fit
   */
  public static Tensor batchNorm(
      Tensor x,
      @Nullable Tensor weight,
      @Nullable Tensor bias,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      BatchNormOptions options,
      @Nullable Tensor residual) {
    return batchNorm(x, null, weight, bias, runningMean, runningVar, options, residual);
  }

  /** With statistics of x [2, C] that a convolution left, or null. */
  static Tensor batchNorm(
      Tensor x,
      @Nullable Tensor statistics,
      @Nullable Tensor weight,
      @Nullable Tensor bias,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      BatchNormOptions options,
      @Nullable Tensor residual) {
    try (Scope s = Scope.open()) {
      Tensor met = residual == null ? x : Precision.meeting(x, residual);
      Tensor added = residual == null ? null : Precision.like(met, residual);
      return s.keep(
          normalise(
              met,
              met.dtype() == x.dtype() ? statistics : null,
              weight,
              bias,
              runningMean,
              runningVar,
              options,
              added));
    }
  }

  private static Tensor normalise(
      Tensor x,
      @Nullable Tensor statistics,
      @Nullable Tensor weight,
      @Nullable Tensor bias,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      BatchNormOptions options,
      @Nullable Tensor residual) {
    check(x, weight, bias, runningMean, runningVar, options, residual);
    BatchNormFunction function =
        new BatchNormFunction(
            statistics,
            runningMean,
            runningVar,
            options,
            weight != null,
            bias != null,
            residual != null);
    return function.apply(present(x, weight, bias, residual));
  }

  /** What batch normalisation requires of its operands. */
  static void check(
      Tensor x,
      @Nullable Tensor weight,
      @Nullable Tensor bias,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      BatchNormOptions options,
      @Nullable Tensor residual) {
    Checks.shape(
        x.rank() >= 2,
        "[batchNorm] x %s needs at least two axes, channels last: add one with unsqueeze(0)",
        x.shape());
    checkInput("batchNorm", x);
    long channels = x.size(-1);
    checkVector("batchNorm", "weight", weight, x);
    checkVector("batchNorm", "bias", bias, x);
    checkVector("batchNorm", "runningMean", runningMean, x);
    checkVector("batchNorm", "runningVar", runningVar, x);
    if (residual != null) {
      x.sameDevice("batchNorm", residual);
      Checks.shape(
          residual.shape().equals(x.shape()),
          "[batchNorm] residual %s must have the shape of x %s",
          residual.shape(),
          x.shape());
      Checks.dtype(
          residual.dtype() == x.dtype(),
          "[batchNorm] residual is %s but x is %s: convert with to(DType.%s)",
          residual.dtype(),
          x.dtype(),
          x.dtype());
    }
    if (options.training()) {
      long rows = x.shape().product(0, x.rank() - 1);
      Checks.shape(
          rows != 0 || channels == 0,
          "[batchNorm] the batch is empty, x %s: skip it, or use eval()",
          x.shape());
      Checks.shape(
          rows != 1,
          "[batchNorm] one value per channel has no variance, x %s: use a larger batch or eval()",
          x.shape());
    } else {
      Checks.argument(
          runningMean != null && runningVar != null,
          "[batchNorm] without training the running statistics are needed: give runningMean and"
              + " runningVar, or set training");
    }
  }

  /**
   * Normalises every row (last axis), then scales and shifts.
   *
   * <pre>{@code
   * y = (x - mean) / sqrt(variance + eps) weight + bias
   * }</pre>
   *
   * <p>Mean and (biased) variance are those of the row.
   *
   * <p>Shapes: {@code x: [.., C]; weight, bias: [C] -> y: [.., C]}
   *
   * <p>For 16-bit x the statistics are float32, and weight and bias may be.
   *
   * <p>Source: Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450.
   *
   * <pre>{@code
   * Tensor y = Norm.layerNorm(x, gamma, beta, 1e-5);
   * }</pre>
   *
   * @param x [.., C], at least one axis
   * @param weight [C], or null for 1
   * @param bias [C], or null for 0
   * @param eps added to the variance; 1e-5 is usual
   * @return y, [.., C]
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.DTypeException when types do not fit
   */
  public static Tensor layerNorm(
      Tensor x, @Nullable Tensor weight, @Nullable Tensor bias, double eps) {
    Checks.shape(x.rank() >= 1, "[layerNorm] x is a scalar: it needs a row to normalise");
    checkInput("layerNorm", x);
    checkVector("layerNorm", "weight", weight, x);
    checkVector("layerNorm", "bias", bias, x);
    return SampleNormFunction.ofRows(eps, weight != null, bias != null)
        .apply(present(x, weight, bias));
  }

  /**
   * Normalises groups of neighbouring channels of every sample over all positions, then scales and
   * shifts every channel.
   *
   * <pre>{@code
   * y = (x - mean) / sqrt(variance + eps) weight + bias
   * }</pre>
   *
   * <p>Mean and (biased) variance are those of the sample's positions and the C / groups channels
   * of the group: nothing depends on the batch, in training or not. One group normalises a whole
   * sample; as many groups as channels make {@link #instanceNorm}.
   *
   * <p>Shapes: {@code x: [N, .., C]; weight, bias: [C] -> y: [N, .., C]}
   *
   * <p>For 16-bit x the statistics are float32, and weight and bias may be.
   *
   * <p>Source: Wu, He, "Group normalization", ECCV 2018.
   *
   * <pre>{@code
   * Tensor y = Norm.groupNorm(images, 8, gamma, beta, 1e-5);
   * }</pre>
   *
   * @param x [N, .., C], channels last, at least two axes
   * @param groups number of groups, a divisor of C
   * @param weight [C], or null for 1
   * @param bias [C], or null for 0
   * @param eps added to the variance; 1e-5 is usual
   * @return y, [N, .., C]
   * @throws io.gradus.core.ShapeException when shapes do not fit or the groups do not divide C
   * @throws io.gradus.core.ArgumentException when groups is below 1
   * @throws io.gradus.core.DTypeException when types do not fit
   */
  public static Tensor groupNorm(
      Tensor x, long groups, @Nullable Tensor weight, @Nullable Tensor bias, double eps) {
    Checks.argument(groups > 0, "[groupNorm] %d groups: give at least 1", groups);
    checkGrouped("groupNorm", x, weight, bias);
    Checks.shape(
        x.size(-1) % groups == 0,
        "[groupNorm] %d groups do not divide the %d channels of x %s",
        groups,
        x.size(-1),
        x.shape());
    return SampleNormFunction.ofGroups("groupNorm", groups, eps, weight != null, bias != null)
        .apply(present(x, weight, bias));
  }

  /**
   * Normalises every channel of every sample over all positions, then scales and shifts.
   *
   * <p>{@code y = (x - mean) / sqrt(variance + eps) weight + bias}, mean and (biased) variance
   * those of the channel in this sample alone: {@link #groupNorm} with as many groups as channels.
   * A channel of one position becomes its bias.
   *
   * <p>Shapes: {@code x: [N, .., C]; weight, bias: [C] -> y: [N, .., C]}
   *
   * <p>Source: Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing ingredient for
   * fast stylization", arXiv:1607.08022.
   *
   * <pre>{@code
   * Tensor y = Norm.instanceNorm(images, null, null, 1e-5);
   * }</pre>
   *
   * @param x [N, .., C], channels last, at least two axes
   * @param weight [C], or null for 1
   * @param bias [C], or null for 0
   * @param eps added to the variance; 1e-5 is usual
   * @return y, [N, .., C]
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.DTypeException when types do not fit
   */
  public static Tensor instanceNorm(
      Tensor x, @Nullable Tensor weight, @Nullable Tensor bias, double eps) {
    checkGrouped("instanceNorm", x, weight, bias);
    long groups = Math.max(1, x.size(-1));
    return SampleNormFunction.ofGroups("instanceNorm", groups, eps, weight != null, bias != null)
        .apply(present(x, weight, bias));
  }

  /**
   * Divides every row (last axis) by its root mean square, then scales: layer normalisation without
   * a mean.
   *
   * <pre>{@code
   * y = x / sqrt(mean(x^2) + eps) weight
   * }</pre>
   *
   * <p>Shapes: {@code x: [.., C]; weight: [C] -> y: [.., C]}
   *
   * <p>For 16-bit x the mean square is float32, and weight may be.
   *
   * <p>Source: Zhang, Sennrich, "Root mean square layer normalization", NeurIPS 2019.
   *
   * <pre>{@code
   * Tensor y = Norm.rmsNorm(x, gain, 1e-6);
   * }</pre>
   *
   * @param x [.., C], at least one axis
   * @param weight [C], or null for 1
   * @param eps added to the mean square; 1e-6 and 1e-5 are usual
   * @return y, [.., C]
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.DTypeException when types do not fit
   */
  public static Tensor rmsNorm(Tensor x, @Nullable Tensor weight, double eps) {
    Checks.shape(x.rank() >= 1, "[rmsNorm] x is a scalar: it needs a row to normalise");
    checkInput("rmsNorm", x);
    checkVector("rmsNorm", "weight", weight, x);
    return new RmsNormFunction(eps).apply(present(x, weight));
  }

  private static void checkGrouped(
      String op, Tensor x, @Nullable Tensor weight, @Nullable Tensor bias) {
    Checks.shape(
        x.rank() >= 2,
        "[%s] x %s needs a sample axis and a channel axis: add one with unsqueeze(0)",
        op,
        x.shape());
    checkInput(op, x);
    checkVector(op, "weight", weight, x);
    checkVector(op, "bias", bias, x);
  }

  private static void checkInput(String op, Tensor x) {
    Checks.dtype(
        x.dtype().isFloating(), "[%s] x is %s: convert with to(DType.FLOAT32)", op, x.dtype());
  }

  private static void checkVector(String op, String name, @Nullable Tensor vector, Tensor x) {
    if (vector == null) {
      return;
    }
    x.sameDevice(op, vector);
    Checks.shape(
        vector.rank() == 1 && vector.size(0) == x.size(-1),
        "[%s] x has %d channels but %s has shape %s (x %s)",
        op,
        x.size(-1),
        name,
        vector.shape(),
        x.shape());
    Checks.dtype(
        vector.dtype() == x.dtype() || vector.dtype() == statistics(x),
        "[%s] %s is %s but x is %s: convert one with to(DType)",
        op,
        name,
        vector.dtype(),
        x.dtype());
  }

  /** The type that means and deviations of a tensor have. */
  static DType statistics(Tensor x) {
    return x.dtype().isHalf() ? DType.FLOAT32 : x.dtype();
  }

  static Tensor[] present(@Nullable Tensor... tensors) {
    List<Tensor> list = new ArrayList<>();
    for (Tensor t : tensors) {
      if (t != null) {
        list.add(t);
      }
    }
    return list.toArray(new Tensor[0]);
  }
}
