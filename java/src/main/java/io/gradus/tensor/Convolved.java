package io.gradus.tensor;

import io.gradus.backend.Activation;
import io.gradus.backend.ConvShape;
import org.jspecify.annotations.Nullable;

/**
 * An image on its way through convolutions with batch normalisation between them: a convolution's
 * result, with mean and variance of every channel where it gathered them, so that the normalisation
 * behind it need not read it for them. For chains such as those of {@code nn.Sequential}; {@link
 * Conv#conv2dBatchNorm} and {@link Conv#batchNormConv2d} are the links of one.
 *
 * <pre>{@code
 * try (Convolved y = Convolved.conv2d(x, kernel, null, Conv2dOptions.of(1, 1))) {
 *   return y.batchNorm(gamma, beta, mean, var, BatchNormOptions.of(true, 0.1, 1e-5), null);
 * }
 * }</pre>
 *
 * Closing it gives up a convolution's result and its statistics; what a graph needs stays with it.
 */
public final class Convolved implements AutoCloseable {
  private final Tensor image;
  private final @Nullable Tensor statistics;
  private final boolean owns;

  private Convolved(Tensor image, @Nullable Tensor statistics, boolean owns) {
    this.image = image;
    this.statistics = statistics;
    this.owns = owns;
  }

  /** An image of which nothing else is known; it stays the caller's. */
  public static Convolved of(Tensor image) {
    return new Convolved(image, null, false);
  }

  /** {@link Conv#conv2d}, with the statistics of its result where a channel has two values. */
  public static Convolved conv2d(
      Tensor x, Tensor weight, @Nullable Tensor bias, Conv2dOptions options) {
    try (Scope s = Scope.open()) {
      return keep(s, Conv.convolveAll(x, weight, bias, options, true), true);
    }
  }

  private static Convolved keep(Scope scope, Tensor[] results, boolean owns) {
    for (Tensor t : results) {
      scope.keep(t);
    }
    return new Convolved(results[0], results.length > 1 ? results[1] : null, owns);
  }

  /** No gradient flows into statistics: who uses them differentiates through the image. */
  private @Nullable Tensor moments() {
    return statistics == null ? null : statistics.detach();
  }

  /** The image. */
  public Tensor image() {
    return image;
  }

  /**
   * {@link Norm#batchNorm(Tensor, Tensor, Tensor, Tensor, Tensor, BatchNormOptions, Tensor)} of the
   * image.
   */
  public Tensor batchNorm(
      @Nullable Tensor scale,
      @Nullable Tensor shift,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      BatchNormOptions options,
      @Nullable Tensor residual) {
    try (Scope s = Scope.open()) {
      return s.keep(
          Norm.batchNorm(
              image, moments(), scale, shift, runningMean, runningVar, options, residual));
    }
  }

  /**
   * {@link Conv#batchNormConv2d} of the image.
   *
   * @param gathers whether statistics of the result are wanted, for the next normalisation; else
   *     the result is the caller's, as that of any operation
   */
  public Convolved batchNormConv2d(
      @Nullable Tensor scale,
      @Nullable Tensor shift,
      @Nullable Tensor runningMean,
      @Nullable Tensor runningVar,
      double momentum,
      double eps,
      Tensor weight,
      @Nullable Tensor bias,
      Conv2dOptions options,
      boolean gathers) {
    BatchNormOptions norm = new BatchNormOptions(true, momentum, eps, Activation.RELU);
    Norm.check(image, scale, shift, runningMean, runningVar, norm, null);
    try (Scope s = Scope.open()) {
      if (image.rank() == 4 && Precision.product(image.dtype()) == image.dtype()) {
        Tensor parameter = Precision.weight(weight);
        Tensor kernel = Precision.product(parameter.detach());
        Tensor offset = bias == null ? null : Precision.product(bias);
        ConvShape shape = Conv.check(image, kernel, offset, options);
        if (image.backend().conv2dNormalises(shape, image.dtype())) {
          BatchNormConv2dFunction function =
              new BatchNormConv2dFunction(
                  shape,
                  norm,
                  moments(),
                  runningMean,
                  runningVar,
                  kernel,
                  gathers && Conv.hasMoments(shape),
                  scale != null,
                  shift != null,
                  offset != null);
          return keep(
              s, function.applyAll(Norm.present(image, parameter, scale, shift, offset)), gathers);
        }
      }
      Tensor z = batchNorm(scale, shift, runningMean, runningVar, norm, null);
      return keep(s, Conv.convolveAll(z, weight, bias, options, gathers), gathers);
    }
  }

  @Override
  public void close() {
    if (owns) {
      image.close();
      if (statistics != null) {
        statistics.close();
      }
    }
  }
}
