package io.gradus.tensor;

import io.gradus.backend.ReduceOp;
import io.gradus.core.Checks;
import io.gradus.core.Shape;

/**
 * Reductions of {@link Tensor}, and sums that keep every step. No axes named means all; negative
 * axes count from the last; {@code keepDim} leaves reduced axes in place with extent 1.
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

  /** As {@link #sum(boolean, int...)}, dropping the reduced axes. */
  default Tensor sum(int... axes) {
    return sum(false, axes);
  }

  /**
   * The sum over axes; integers and BOOL (counting the true ones) sum in INT64.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}, or {@code [A, 1, B]} with keepDim
   *
   * <pre>{@code
   * Tensor.ones(2, 3).sum();         // 6
   * Tensor.ones(2, 3).sum(0);        // [2, 2, 2]
   * Tensor.ones(2, 3).sum(true, -1); // [[3], [3]]
   * }</pre>
   *
   * @param keepDim whether reduced axes stay with extent 1
   * @param axes axes; none means all
   * @throws io.gradus.core.ShapeException when an axis is out of range or named twice
   */
  default Tensor sum(boolean keepDim, int... axes) {
    return Reductions.sum(self(), self().shape().axes(axes, "sum"), keepDim);
  }

  /** As {@link #mean(boolean, int...)}, dropping the reduced axes. */
  default Tensor mean(int... axes) {
    return mean(false, axes);
  }

  /**
   * The arithmetic mean over axes; NaN of nothing.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}, or {@code [A, 1, B]} with keepDim
   *
   * @param keepDim whether reduced axes stay with extent 1
   * @param axes axes; none means all
   * @throws io.gradus.core.ShapeException when an axis is out of range or named twice
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
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

  /**
   * As {@link #variance(int, boolean, int...)} with correction 1 (unbiased), dropping the reduced
   * axes.
   */
  default Tensor variance(int... axes) {
    return variance(1, false, axes);
  }

  /**
   * The variance over axes: {@code sum((x - mean(x))^2) / (n - correction)}, in two passes, since
   * the difference of the mean square and the squared mean cancels.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}, or {@code [A, 1, B]} with keepDim
   *
   * <p>Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American
   * Statistician 37, 1983.
   *
   * <pre>{@code
   * Tensor image = x.sub(x.mean(true, 1, 2)).div(x.variance(0, true, 1, 2).add(1e-5).sqrt());
   * }</pre>
   *
   * @param correction what is subtracted from the count n: 1 for the unbiased estimate, 0 for the
   *     population's; NaN or infinity where nothing is left
   * @param keepDim whether reduced axes stay with extent 1
   * @param axes axes; none means all
   * @throws io.gradus.core.ShapeException when an axis is out of range or named twice
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor variance(int correction, boolean keepDim, int... axes) {
    try (Scope s = Scope.open()) {
      Tensor x = Precision.wide(floating("variance"));
      double n = count(axes, "variance");
      Tensor distance = x.sub(x.mean(true, axes));
      return s.keep(distance.square().sum(keepDim, axes).div(n - correction));
    }
  }

  /** As {@link #max(boolean, int...)}, dropping the reduced axes. */
  default Tensor max(int... axes) {
    return max(false, axes);
  }

  /**
   * The maximum over axes; NaN where an element is. The gradient is shared among equals.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}, or {@code [A, 1, B]} with keepDim
   *
   * @param keepDim whether reduced axes stay with extent 1
   * @param axes axes; none means all
   * @throws io.gradus.core.ShapeException when an axis is out of range, named twice or empty
   */
  default Tensor max(boolean keepDim, int... axes) {
    return Reductions.extreme(ReduceOp.MAX, self(), self().shape().axes(axes, "max"), keepDim);
  }

  /** As {@link #min(boolean, int...)}, dropping the reduced axes. */
  default Tensor min(int... axes) {
    return min(false, axes);
  }

  /**
   * The minimum over axes; NaN where an element is. The gradient is shared among equals.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}, or {@code [A, 1, B]} with keepDim
   *
   * @param keepDim whether reduced axes stay with extent 1
   * @param axes axes; none means all
   * @throws io.gradus.core.ShapeException when an axis is out of range, named twice or empty
   */
  default Tensor min(boolean keepDim, int... axes) {
    return Reductions.extreme(ReduceOp.MIN, self(), self().shape().axes(axes, "min"), keepDim);
  }

  /** As {@link #logSumExp(boolean, int...)}, dropping the reduced axes. */
  default Tensor logSumExp(int... axes) {
    return logSumExp(false, axes);
  }

  /**
   * {@code m + log(sum(exp(x - m)))} over axes, where the maximum m keeps it from overflow; minus
   * infinity of nothing. The gradient is the softmax.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}, or {@code [A, 1, B]} with keepDim
   *
   * <p>Source: Blanchard, Higham, Higham, "Accurately computing the log-sum-exp and softmax
   * functions", IMA J. Numer. Anal. 41, 2021.
   *
   * @param keepDim whether reduced axes stay with extent 1
   * @param axes axes; none means all
   * @throws io.gradus.core.ShapeException when an axis is out of range or named twice
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor logSumExp(boolean keepDim, int... axes) {
    try (Scope s = Scope.open()) {
      Tensor x = Precision.wide(floating("logSumExp"));
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

  /** As {@link #argmax(int, boolean)}, dropping the axis. */
  default Tensor argmax(int axis) {
    return Reductions.argExtreme(true, self(), axis, false);
  }

  /**
   * The position of the maximum along an axis, INT64: the first of equals; a NaN counts as maximum.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}, or {@code [A, 1, B]} with keepDim
   *
   * <pre>{@code
   * Tensor classes = logits.argmax(-1);   // [N, C] -> [N]
   * }</pre>
   *
   * @param axis axis
   * @param keepDim whether the axis stays with extent 1
   * @throws io.gradus.core.ShapeException when the axis is out of range or empty
   */
  default Tensor argmax(int axis, boolean keepDim) {
    return Reductions.argExtreme(true, self(), axis, keepDim);
  }

  /**
   * The position of the minimum along an axis, INT64: the first of equals; a NaN counts as minimum.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}
   *
   * @throws io.gradus.core.ShapeException when the axis is out of range or empty
   */
  default Tensor argmin(int axis) {
    return Reductions.argExtreme(false, self(), axis, false);
  }

  /**
   * The sum of every element with all before it along an axis; integers and BOOL (counting the true
   * ones) sum in INT64. The gradient is the cumulative sum from the end.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <pre>{@code
   * Tensor.of(new float[] {1, 2, 3}).cumsum(0);   // [1, 3, 6]
   * }</pre>
   *
   * @param axis axis; negative axes count from the last
   * @throws io.gradus.core.ShapeException when the axis is out of range
   */
  default Tensor cumsum(int axis) {
    return Scans.cumsum(self(), axis);
  }
}
