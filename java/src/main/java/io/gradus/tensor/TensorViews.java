package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.Arrays;

/**
 * Methods of {@link Tensor} that arrange its elements, of any type. Negative axes count from the
 * last.
 */
sealed interface TensorViews permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  /**
   * The same elements in the same order under other extents. Shares memory where the strides allow,
   * else copies.
   *
   * <p>Shapes: {@code [..] -> dims}, with the same number of elements
   *
   * <pre>{@code
   * Tensor x = Tensor.arange(6);
   * x.reshape(2, 3);    // [[0, 1, 2], [3, 4, 5]]
   * x.reshape(-1, 2);   // [[0, 1], [2, 3], [4, 5]]
   * }</pre>
   *
   * @param dims extents, of which one may be -1 for what is left
   * @throws io.gradus.core.ShapeException when the number of elements does not come out
   */
  default Tensor reshape(long... dims) {
    return new Views.Reshape(self().shape().reshape(dims)).apply(self());
  }

  /**
   * Joins the axes from {@code startAxis} on to one; memory as in {@link #reshape}.
   *
   * <p>Shapes: for axis 1, {@code [N, H, W, C] -> [N, H W C]}
   *
   * @throws io.gradus.core.ShapeException when the axis is out of range
   */
  default Tensor flatten(int startAxis) {
    Shape shape = self().shape();
    int a = shape.axis(startAxis, "flatten");
    long[] dims = Arrays.copyOf(shape.dims(), a + 1);
    dims[a] = shape.product(a, shape.rank());
    return reshape(dims);
  }

  /**
   * Exchanges two axes; shares memory.
   *
   * <p>Shapes: for axes 0 and 2, {@code [A, B, C] -> [C, B, A]}
   *
   * @throws io.gradus.core.ShapeException when an axis is out of range
   */
  default Tensor transpose(int a, int b) {
    int[] order = new int[self().rank()];
    Arrays.setAll(order, i -> i);
    int x = self().shape().axis(a, "transpose");
    int y = self().shape().axis(b, "transpose");
    order[x] = y;
    order[y] = x;
    return new Views.Permute(order).apply(self());
  }

  /**
   * Exchanges the last two axes; shares memory.
   *
   * <p>Shapes: {@code [.., M, N] -> [.., N, M]}
   *
   * @throws io.gradus.core.ShapeException when there are less than two axes
   */
  default Tensor t() {
    return transpose(-2, -1);
  }

  /**
   * Puts the axes in another order: axis i of the result is axis {@code order[i]} of this. Shares
   * memory.
   *
   * <p>Shapes: for order 0, 2, 3, 1, {@code [N, C, H, W] -> [N, H, W, C]}
   *
   * <pre>{@code
   * Tensor channelsLast = images.permute(0, 2, 3, 1).contiguous();
   * }</pre>
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

  /**
   * Repeats extents of 1, without copying; shares memory. The gradient is summed over what was
   * repeated.
   *
   * <p>Shapes: {@code [C] or [1, C] or [N, 1] -> dims = [N, C]}
   *
   * @throws io.gradus.core.ShapeException when this shape does not broadcast to {@code dims}
   */
  default Tensor expand(long... dims) {
    Shape target = Shape.of(dims);
    Checks.shape(
        self().shape().broadcastsTo(target),
        "[expand] %s does not broadcast to %s",
        self().shape(),
        target);
    return new Views.Expand(target).apply(self());
  }

  /** As {@link #slice(int, long, long, long)} with step 1. */
  default Tensor slice(int axis, long start, long end) {
    return slice(axis, start, end, 1);
  }

  /**
   * Every step-th element from start (inclusive) to end (exclusive) of an axis; shares memory. The
   * gradient is 0 elsewhere.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, K, B]} with {@code K = ceil((end - start) /
   * step)}
   *
   * <pre>{@code
   * Tensor x = Tensor.arange(6);
   * x.slice(0, 1, 4);      // [1, 2, 3]
   * x.slice(0, 0, 6, 2);   // [0, 2, 4]
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when the axis is out of range, the range is not within
   *     the axis, or the step is not positive
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
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> [A, B]}
   *
   * @throws io.gradus.core.ShapeException when the axis or the index is out of range
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

  /**
   * A new axis of extent 1 before {@code axis}, where -1 means after the last; shares memory.
   *
   * <p>Shapes: for axis 1, {@code [A, B] -> [A, 1, B]}
   *
   * @throws io.gradus.core.ShapeException when the axis is out of range
   */
  default Tensor unsqueeze(int axis) {
    return reshape(self().shape().insert(axis, 1).dims());
  }

  /**
   * Drops an axis of extent 1; shares memory.
   *
   * <p>Shapes: for axis 1, {@code [A, 1, B] -> [A, B]}
   *
   * @throws io.gradus.core.ShapeException when the axis is out of range or its extent is not 1
   */
  default Tensor squeeze(int axis) {
    Checks.shape(self().size(axis) == 1, "[squeeze] axis %d of %s is not 1", axis, self().shape());
    return reshape(self().shape().without(axis).dims());
  }

  /**
   * Parts of {@code size} along an axis, the last of what is left; they share memory. An empty axis
   * gives one empty part.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B] -> ceil(N / size) times [A, size, B]}, the last {@code
   * [A, <= size, B]}
   *
   * <pre>{@code
   * Tensor[] qkv = x.matmul(w).split(d, -1);   // [B, T, 3 d] -> 3 times [B, T, d]
   * }</pre>
   *
   * @throws io.gradus.core.ArgumentException when the size is not positive
   * @throws io.gradus.core.ShapeException when the axis is out of range
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

  /**
   * A copy with the elements of the named axes (none means all) in opposite order.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <pre>{@code
   * Tensor mirrored = images.flip(2);   // [N, H, W, C]
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when an axis is out of range or named twice
   */
  default Tensor flip(int... axes) {
    return new Views.Flip(self().shape().axes(axes, "flip")).apply(self());
  }

  /**
   * A copy with a frame of {@code value} around the elements.
   *
   * <p>Shapes: {@code [A, B] -> [before0 + A + after0, before1 + B + after1]}
   *
   * <pre>{@code
   * Tensor framed = images.pad(0, 0, 0, 4, 4, 4, 4, 0, 0);   // 4 pixels on every side
   * }</pre>
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
