package io.gradus.tensor;

import io.gradus.backend.Activation;
import io.gradus.backend.BatchNormShape;

/**
 * Options of {@link Norm#batchNorm(Tensor, Tensor, Tensor, Tensor, Tensor, BatchNormOptions,
 * Tensor)}.
 *
 * @param training whether the batch's own statistics are used
 * @param momentum weight of this batch in the running statistics; 0.1 is usual
 * @param eps added to the variance; 1e-5 is usual
 * @param activation applied last
 */
public record BatchNormOptions(
    boolean training, double momentum, double eps, Activation activation) {
  /** These without activation. */
  public static BatchNormOptions of(boolean training, double momentum, double eps) {
    return new BatchNormOptions(training, momentum, eps, Activation.NONE);
  }

  /** These with another activation. */
  public BatchNormOptions withActivation(Activation value) {
    return new BatchNormOptions(training, momentum, eps, value);
  }

  /** These for x [.., C]. */
  BatchNormShape shape(Tensor x) {
    long rows = x.shape().product(0, x.rank() - 1);
    return new BatchNormShape(rows, x.size(-1), training, momentum, eps, activation);
  }
}
