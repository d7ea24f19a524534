package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.Arrays;

/** Methods of {@link Tensor} that arrange its elements. Negative axes count from the last. */
sealed interface TensorViews permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  /**
   * The same elements in the same order under other extents; one extent may be -1 for what is left.
   * Shares memory where the strides allow, else copies.
   *
   * @throws io.gradus.core.ShapeException when the number of elements does not come out
   */
  default Tensor reshape(long... dims) {
    return new Views.Reshape(self().shape().reshape(dims)).apply(self());
  }

  /** Axes from {@code startAxis} on joined to one. */
  default Tensor flatten(int startAxis) {
    Shape shape = self().shape();
    int a = shape.axis(startAxis, "flatten");
    long[] dims = Arrays.copyOf(shape.dims(), a + 1);
    dims[a] = shape.product(a, shape.rank());
    return reshape(dims);
  }

  /** Two axes exchanged; shares memory. */
  default Tensor transpose(int a, int b) {
    int[] order = new int[self().rank()];
    Arrays.setAll(order, i -> i);
    int x = self().shape().axis(a, "transpose");
    int y = self().shape().axis(b, "transpose");
    order[x] = y;
    order[y] = x;
    return new Views.Permute(order).apply(self());
  }

  /** The last two axes exchanged; shares memory. */
  default Tensor t() {
    return transpose(-2, -1);
  }

  /**
   * Axes in another order; shares memory.
   *
   * @throws io.gradus.core.ShapeException when the order does not name every axis once
   */
  default Tensor permute(int... order) {
    Shape shape = self().shape();
    Checks.shape(
        order.length == shape.rank(),
        "[permute] %s names %d axes but %s has %d",
        Arrays.toString(order),
        order.length,
        shape,
        shape.rank());
    if (order.length == 0) {
      return new Views.Permute(order).apply(self());
    }
    shape.axes(order, "permute");
    int[] positive = new int[order.length];
    for (int i = 0; i < order.length; i++) {
      positive[i] = shape.axis(order[i], "permute");
    }
    return new Views.Permute(positive).apply(self());
  }

  /** Repeats extents of 1 to the given shape; shares memory. */
  default Tensor expand(long... dims) {
    Shape target = Shape.of(dims);
    Checks.shape(
        self().shape().broadcastsTo(target),
        "[expand] %s does not broadcast to %s",
        self().shape(),
        target);
    return new Views.Expand(target).apply(self());
  }

  /** Elements start (inclusive) to end (exclusive) of an axis; shares memory. */
  default Tensor slice(int axis, long start, long end) {
    return slice(axis, start, end, 1);
  }

  /**
   * Every step-th element from start (inclusive) to end (exclusive) of an axis; shares memory.
   *
   * @throws io.gradus.core.ShapeException when the range is not within the axis
   */
  default Tensor slice(int axis, long start, long end, long step) {
    Shape shape = self().shape();
    int a = shape.axis(axis, "slice");
    Checks.shape(
        0 <= start && start <= end && end <= shape.dim(a) && step > 0,
        "[slice] %d to %d by %d is not within axis %d of %s",
        start,
        end,
        step,
        axis,
        shape);
    return new Views.Slice(a, start, (end - start + step - 1) / step, step).apply(self());
  }

  /**
   * One index of an axis, which is dropped; shares memory. Negative indices count from the last.
   */
  default Tensor select(int axis, long index) {
    Shape shape = self().shape();
    int a = shape.axis(axis, "select");
    long i = index < 0 ? index + shape.dim(a) : index;
    Checks.shape(
        0 <= i && i < shape.dim(a),
        "[select] index %d is not in axis %d of %s",
        index,
        axis,
        shape);
    try (Scope s = Scope.open()) {
      return s.keep(self().slice(a, i, i + 1).reshape(shape.without(a).dims()));
    }
  }

  /** A new axis of extent 1 before {@code axis}; shares memory. */
  default Tensor unsqueeze(int axis) {
    return reshape(self().shape().insert(axis, 1).dims());
  }

  /**
   * Without an axis of extent 1; shares memory.
   *
   * @throws io.gradus.core.ShapeException when its extent is not 1
   */
  default Tensor squeeze(int axis) {
    Checks.shape(self().size(axis) == 1, "[squeeze] axis %d of %s is not 1", axis, self().shape());
    return reshape(self().shape().without(axis).dims());
  }

  /**
   * Parts of {@code size} along an axis, the last may be smaller; they share memory. An empty axis
   * gives one empty part.
   */
  default Tensor[] split(long size, int axis) {
    Checks.argument(size > 0, "[split] the size %d must be positive", size);
    long extent = self().size(axis);
    Tensor[] parts = new Tensor[Math.toIntExact(Math.max(1, (extent + size - 1) / size))];
    for (int i = 0; i < parts.length; i++) {
      parts[i] = slice(axis, i * size, Math.min(extent, (i + 1) * size));
    }
    return parts;
  }

  /** The elements of the named axes (none means all) in opposite order. */
  default Tensor flip(int... axes) {
    return new Views.Flip(self().shape().axes(axes, "flip")).apply(self());
  }

  /**
   * A frame of {@code value} around the elements.
   *
   * @param value what the frame holds
   * @param amounts two numbers per axis, before and after, from the first axis on
   * @throws io.gradus.core.ShapeException when there are not two per axis or one is negative
   */
  default Tensor pad(double value, long... amounts) {
    int rank = self().rank();
    Checks.shape(
        amounts.length == 2 * rank && Arrays.stream(amounts).allMatch(n -> n >= 0),
        "[pad] %s must be two non-negative amounts for each axis of %s",
        Arrays.toString(amounts),
        self().shape());
    long[] before = new long[rank];
    long[] after = new long[rank];
    for (int i = 0; i < rank; i++) {
      before[i] = amounts[2 * i];
      after[i] = amounts[2 * i + 1];
    }
    return new Views.Pad(before, after, value).apply(self());
  }
}
