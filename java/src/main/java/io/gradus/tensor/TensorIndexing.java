package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;

/**
 * Methods of {@link Tensor} that read or add at indices, and the matrix product. Indices are of any
 * integer type and from 0; checking their range waits for the device. Negative axes count from the
 * last.
 */
sealed interface TensorIndexing permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  /**
   * Reads one element per index along an axis.
   *
   * <p>{@code y[.., j, ..] = this[.., index[.., j, ..], ..]}. The gradient is a {@link
   * #scatterAdd}.
   *
   * <p>Shapes: for axis 1, {@code this: [A, N, B], index: [A, K, B] -> [A, K, B]}
   *
   * <pre>{@code
   * Tensor picked = logProbabilities.gather(1, labels.unsqueeze(1)).squeeze(1);   // [N]
   * }</pre>
   *
   * @param axis axis along which the indices count
   * @param index positions, from 0
   * @throws io.gradus.core.ArgumentException when an index is out of range
   * @throws io.gradus.core.ShapeException when the axis is out of range or another extent differs
   * @throws io.gradus.core.DTypeException when the index is not of an integer type
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor gather(int axis, Tensor index) {
    Shape shape = self().shape();
    int a = shape.axis(axis, "gather");
    Checks.shape(
        index.rank() == shape.rank() && index.shape().with(a, 0).equals(shape.with(a, 0)),
        "[gather] the index %s must have the extents of %s but along axis %d",
        index.shape(),
        shape,
        axis);
    self().sameDevice("gather", index);
    try (Scope s = Scope.open()) {
      Tensor checked = Indexing.checked("gather", index, shape.dim(a));
      return s.keep(
          new Indexing.Gather(checked, Indexing.elements(shape, a, index.size(a)), index.shape())
              .apply(self()));
    }
  }

  /**
   * Reads the parts of an axis that a list names, which may repeat.
   *
   * <p>{@code y[.., j, ..] = this[.., index[j], ..]}. The gradient adds up where indices repeat.
   *
   * <p>Shapes: for axis 1, {@code this: [A, N, B], index: [K] -> [A, K, B]}
   *
   * <pre>{@code
   * Tensor batch = images.indexSelect(0, Tensor.of(new long[] {7, 2, 7}));
   * }</pre>
   *
   * @param axis axis to read
   * @param index positions, from 0
   * @throws io.gradus.core.ArgumentException when an index is out of range
   * @throws io.gradus.core.ShapeException when the axis is out of range or the index is no vector
   * @throws io.gradus.core.DTypeException when the index is not of an integer type
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor indexSelect(int axis, Tensor index) {
    Shape shape = self().shape();
    int a = shape.axis(axis, "indexSelect");
    Checks.shape(index.rank() == 1, "[indexSelect] the index %s must be a vector", index.shape());
    self().sameDevice("indexSelect", index);
    try (Scope s = Scope.open()) {
      Tensor checked = Indexing.checked("indexSelect", index, shape.dim(a));
      return s.keep(
          new Indexing.Gather(
                  checked, Indexing.rows(shape, a, index.numel()), shape.with(a, index.numel()))
              .apply(self()));
    }
  }

  /**
   * A copy of this with the elements of a source added at indices along an axis.
   *
   * <p>{@code y[.., index[.., j, ..], ..] += source[.., j, ..]}: repeated indices add up, in the
   * order of j, so that the result has the same bits every time.
   *
   * <p>Shapes: for axis 1, {@code this: [A, N, B]; index, source: [A, K, B] -> [A, N, B]}
   *
   * <pre>{@code
   * Tensor counts = Tensor.zeros(10).scatterAdd(0, labels, Tensor.ones(labels.numel()));
   * }</pre>
   *
   * @param axis axis along which the indices count
   * @param index positions, from 0
   * @param source what is added, of this type
   * @throws io.gradus.core.ArgumentException when an index is out of range
   * @throws io.gradus.core.ShapeException when the axis is out of range, index and source differ,
   *     or another extent than the axis differs
   * @throws io.gradus.core.DTypeException when the index is not of an integer type or the source
   *     not of this one
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor scatterAdd(int axis, Tensor index, Tensor source) {
    Shape shape = self().shape();
    int a = shape.axis(axis, "scatterAdd");
    Checks.shape(
        index.shape().equals(source.shape())
            && index.rank() == shape.rank()
            && index.shape().with(a, 0).equals(shape.with(a, 0)),
        "[scatterAdd] index %s and source %s must be alike and have the extents of %s but along axis"
            + " %d",
        index.shape(),
        source.shape(),
        shape,
        axis);
    self().sameDevice("scatterAdd", index);
    self().sameDevice("scatterAdd", source);
    Checks.dtype(
        source.dtype() == self().dtype(),
        "[scatterAdd] source is %s but this tensor is %s",
        source.dtype(),
        self().dtype());
    try (Scope s = Scope.open()) {
      Tensor checked = Indexing.checked("scatterAdd", index, shape.dim(a));
      return s.keep(
          new Indexing.ScatterAdd(checked, Indexing.elements(shape, a, index.size(a)))
              .apply(self(), source));
    }
  }

  /**
   * Indicator vectors of class labels, FLOAT32: 1 at the label, else 0.
   *
   * <p>Shapes: {@code [..] -> [.., classes]}
   *
   * <pre>{@code
   * Tensor.of(new long[] {2, 0}).oneHot(3);   // [[0, 0, 1], [1, 0, 0]]
   * }</pre>
   *
   * @param classes number of classes; labels are from 0
   * @throws io.gradus.core.ArgumentException when a label is out of range
   * @throws io.gradus.core.DTypeException when the labels are not of an integer type
   */
  default Tensor oneHot(long classes) {
    try (Scope s = Scope.open()) {
      Tensor labels = Indexing.checked("oneHot", self(), classes);
      Tensor all = Tensor.arange(classes).to(labels.device());
      return s.keep(labels.unsqueeze(-1).eq(all).to(DType.FLOAT32));
    }
  }

  /**
   * The matrix product {@code Y = A B} over the last two axes. Leading axes broadcast; a vector
   * counts as a row (left) or a column (right), and that axis is dropped again. 16-bit types
   * accumulate in float32.
   *
   * <p>The gradients are {@code dA = dY B^T} and {@code dB = A^T dY}, summed where an operand was
   * broadcast.
   *
   * <p>Shapes: {@code this: [.., M, K], other: [.., K, N] -> [.., M, N]}; {@code [K], [K, N] ->
   * [N]}; {@code [.., M, K], [K] -> [.., M]}; {@code [K], [K] -> []}
   *
   * <pre>{@code
   * Tensor scores = q.matmul(k.t()).div(Math.sqrt(d));   // [B, H, T, d] -> [B, H, T, T]
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when the inner extents differ, the leading axes do not
   *     broadcast, or one is a scalar
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor matmul(Tensor other) {
    return Matmul.matmul(self(), other);
  }
}
