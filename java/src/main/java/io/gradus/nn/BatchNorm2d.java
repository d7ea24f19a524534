package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;

/**
 * Normalises every channel: with the batch's mean and variance in training, with their moving
 * averages in evaluation. A ReLU or a residual after it runs in the same pass.
 *
 * <pre>{@code
 * y = (x - mean) / sqrt(variance + eps) weight + bias
 * running = (1 - momentum) running + momentum batch       (variance unbiased)
 * }</pre>
 *
 * <p>Shapes: {@code x: [N, H, W, C]}, y alike. Some texts weigh the old value with the momentum
 * instead: their 0.9 is 0.1 here. Source: Ioffe, Szegedy, ICML 2015.
 */
public final class BatchNorm2d extends BatchNorm {
  /** With momentum 0.1 and eps 1e-5. */
  public BatchNorm2d(long channels) {
    this(channels, MOMENTUM, EPS);
  }

  /**
   * With a momentum and eps of its own.
   *
   * @param channels extent of the last axis
   * @param momentum weight of the batch in the moving averages
   * @param eps added to the variance
   * @throws io.gradus.core.ArgumentException when a number is out of its range
   */
  public BatchNorm2d(long channels, double momentum, double eps) {
    super(channels, momentum, eps);
  }

  @Override
  void checkRank(Tensor x) {
    Checks.shape(x.rank() == 4, "[batchNorm] BatchNorm2d takes [N, H, W, C], not %s", x.shape());
  }
}
