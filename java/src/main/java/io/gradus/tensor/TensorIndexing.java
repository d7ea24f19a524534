package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;

/** Methods of {@link Tensor} that read or add at indices, and the matrix product. */
sealed interface TensorIndexing permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  /**
   * out[.., j, ..] = this[.., index[.., j, ..], ..] along an axis. Shapes: index as this but along
   * the axis; the result has the index's shape.
   *
   * @throws io.gradus.core.ArgumentException when an index is out of range
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
   * The rows of an axis named by a list of indices. Shapes: index [k] -> the axis has extent k.
   *
   * @throws io.gradus.core.ArgumentException when an index is out of range
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
   * A copy of this with source[.., j, ..] added at [.., index[.., j, ..], ..]: repeated indices add
   * up, in a fixed order. Shapes: index and source alike, as this but along the axis.
   *
   * @throws io.gradus.core.ArgumentException when an index is out of range
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
   * Indicator vectors of class labels, float32. Shapes: [..] -> [.., classes].
   *
   * @throws io.gradus.core.ArgumentException when a label is out of range
   */
  default Tensor oneHot(long classes) {
    try (Scope s = Scope.open()) {
      Tensor labels = Indexing.checked("oneHot", self(), classes);
      Tensor all = Tensor.arange(classes).to(labels.device());
      return s.keep(labels.unsqueeze(-1).eq(all).to(DType.FLOAT32));
    }
  }

  /**
   * Matrix product over the last two axes; leading axes broadcast, a vector counts as a row (left)
   * or a column (right). Shapes: [.., m, k], [.., k, n] -> [.., m, n].
   *
   * @throws io.gradus.core.ShapeException when the inner extents differ
   */
  default Tensor matmul(Tensor other) {
    return Matmul.matmul(self(), other);
  }
}
