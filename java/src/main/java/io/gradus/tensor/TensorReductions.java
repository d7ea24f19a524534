package io.gradus.tensor;

import io.gradus.backend.ReduceOp;
import io.gradus.core.Checks;
import io.gradus.core.Shape;

/**
 * Reductions of {@link Tensor}. No axes named means all; negative axes count from the last; {@code
 * keepDim} leaves reduced axes in place with extent 1.
 */
sealed interface TensorReductions permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  private Tensor floating(String op) {
    Checks.dtype(
        self().dtype().isFloating(),
        "[%s] needs a floating type, not %s: convert with to(DType.FLOAT32)",
        op,
        self().dtype());
    return self();
  }

  /** Sum over axes; integers sum in INT64. */
  default Tensor sum(int... axes) {
    return sum(false, axes);
  }

  /** Sum over axes; integers sum in INT64. */
  default Tensor sum(boolean keepDim, int... axes) {
    return Reductions.sum(self(), self().shape().axes(axes, "sum"), keepDim);
  }

  /** Arithmetic mean over axes; NaN of nothing. */
  default Tensor mean(int... axes) {
    return mean(false, axes);
  }

  /** Arithmetic mean over axes; NaN of nothing. */
  default Tensor mean(boolean keepDim, int... axes) {
    try (Scope s = Scope.open()) {
      Tensor x = floating("mean");
      double n = count(axes, "mean");
      Tensor sum = x.sum(keepDim, axes);
      return s.keep(n == 0 ? sum.mul(Double.NaN) : sum.div(n));
    }
  }

  private double count(int[] axes, String op) {
    Shape shape = self().shape();
    boolean[] mask = shape.axes(axes, op);
    double n = 1;
    for (int i = 0; i < mask.length; i++) {
      n *= mask[i] ? shape.dim(i) : 1;
    }
    return n;
  }

  /** Unbiased variance over axes (divided by n - 1). */
  default Tensor variance(int... axes) {
    return variance(1, false, axes);
  }

  /**
   * Variance over axes: the mean square distance from the mean, in two passes.
   *
   * @param correction what is subtracted from the count: 1 for the unbiased variance, 0 for the
   *     population's; NaN or infinity where nothing is left
   * @param keepDim whether reduced axes stay with extent 1
   * @param axes axes; none means all
   */
  default Tensor variance(int correction, boolean keepDim, int... axes) {
    try (Scope s = Scope.open()) {
      Tensor x = floating("variance");
      double n = count(axes, "variance");
      Tensor distance = x.sub(x.mean(true, axes));
      return s.keep(distance.square().sum(keepDim, axes).div(n - correction));
    }
  }

  /** Maximum over axes; NaN where an element is; the gradient is shared among equals. */
  default Tensor max(int... axes) {
    return max(false, axes);
  }

  /** Maximum over axes; NaN where an element is; the gradient is shared among equals. */
  default Tensor max(boolean keepDim, int... axes) {
    return Reductions.extreme(ReduceOp.MAX, self(), self().shape().axes(axes, "max"), keepDim);
  }

  /** Minimum over axes; NaN where an element is; the gradient is shared among equals. */
  default Tensor min(int... axes) {
    return min(false, axes);
  }

  /** Minimum over axes; NaN where an element is; the gradient is shared among equals. */
  default Tensor min(boolean keepDim, int... axes) {
    return Reductions.extreme(ReduceOp.MIN, self(), self().shape().axes(axes, "min"), keepDim);
  }

  /** log of the sum of exponentials over axes, without overflow. */
  default Tensor logSumExp(int... axes) {
    return logSumExp(false, axes);
  }

  /** log of the sum of exponentials over axes, without overflow. */
  default Tensor logSumExp(boolean keepDim, int... axes) {
    try (Scope s = Scope.open()) {
      Tensor x = floating("logSumExp");
      Shape shape = x.shape().reduce(x.shape().axes(axes, "logSumExp"), keepDim);
      if (x.numel() == 0) {
        return s.keep(x.exp().sum(keepDim, axes).log());
      }
      Tensor top = x.detach().max(true, axes);
      // An infinite maximum would give NaN as inf - inf.
      Tensor shift = top.maskedFill(top.abs().eq(Double.POSITIVE_INFINITY), 0);
      Tensor sum = x.sub(shift).exp().sum(true, axes).log().add(shift);
      return s.keep(sum.reshape(shape.dims()));
    }
  }

  /** Position of the maximum along an axis, INT64: the first of equals; a NaN counts as maximum. */
  default Tensor argmax(int axis) {
    return Reductions.argExtreme(true, self(), axis, false);
  }

  /** Position of the maximum along an axis, INT64; the axis may stay with extent 1. */
  default Tensor argmax(int axis, boolean keepDim) {
    return Reductions.argExtreme(true, self(), axis, keepDim);
  }

  /** Position of the minimum along an axis, INT64: the first of equals; a NaN counts as minimum. */
  default Tensor argmin(int axis) {
    return Reductions.argExtreme(false, self(), axis, false);
  }
}
