package io.gradus.tensor;

import io.gradus.backend.BinaryOp;
import io.gradus.core.Checks;
import io.gradus.core.Shape;

/**
 * Methods of {@link Tensor} that change it in place and return it. They are not recorded: a tensor
 * that requires a gradient can be changed under {@link GradMode#noGrad()} only, and a graph that
 * saved the old value says so in its backward.
 */
sealed interface TensorUpdates permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  private void checkInPlace(String op) {
    Checks.state(
        !(GradMode.isEnabled() && self().requiresGrad()),
        "[%s] %s requires a gradient and cannot be changed in place: do it under GradMode.noGrad(),"
            + " or use the form that returns a new tensor",
        op,
        self().shape());
  }

  /**
   * Copies values of a shape that broadcasts to this one, converting the type.
   *
   * @return this
   */
  default Tensor copyFrom(Tensor source) {
    checkInPlace("copyFrom");
    Tensor x = self();
    Checks.shape(
        source.shape().broadcastsTo(x.shape()),
        "[copyFrom] shape %s does not broadcast to %s",
        source.shape(),
        x.shape());
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor from = source.detach().to(x.device()).to(x.dtype());
      if (from.holds(x.memory())) {
        from = from.copy();
      }
      x.backend()
          .copy(
              from.stridedBuffer(),
              from.broadcastStrides(x.shape()),
              x.stridedBuffer(),
              x.stridesInternal(),
              x.shape().dims());
    }
    x.memory().bumpVersion();
    return x;
  }

  /**
   * Sets every element.
   *
   * @return this
   */
  default Tensor fill(double value) {
    checkInPlace("fill");
    Tensor x = self();
    if (x.isContiguous()) {
      x.backend().fill(x.buffer(), value);
      x.memory().bumpVersion();
      return x;
    }
    try (Scope s = Scope.open()) {
      return copyFrom(number(value));
    }
  }

  /**
   * Adds values of a shape that broadcasts to this one.
   *
   * @return this
   */
  default Tensor addInPlace(Tensor other) {
    return updateInPlace("addInPlace", BinaryOp.ADD, other);
  }

  /**
   * Subtracts values of a shape that broadcasts to this one.
   *
   * @return this
   */
  default Tensor subInPlace(Tensor other) {
    return updateInPlace("subInPlace", BinaryOp.SUB, other);
  }

  /**
   * Multiplies by values of a shape that broadcasts to this one.
   *
   * @return this
   */
  default Tensor mulInPlace(Tensor other) {
    return updateInPlace("mulInPlace", BinaryOp.MUL, other);
  }

  /**
   * Adds a number.
   *
   * @return this
   */
  default Tensor addInPlace(double value) {
    try (Scope s = Scope.open()) {
      return addInPlace(number(value));
    }
  }

  /**
   * Multiplies by a number.
   *
   * @return this
   */
  default Tensor mulInPlace(double value) {
    try (Scope s = Scope.open()) {
      return mulInPlace(number(value));
    }
  }

  private Tensor number(double value) {
    return Tensor.full(self().backend(), self().dtype(), Shape.SCALAR, value);
  }

  private Tensor updateInPlace(String op, BinaryOp binary, Tensor other) {
    checkInPlace(op);
    Tensor x = self();
    Shape shape = x.shape();
    Checks.shape(
        other.shape().broadcastsTo(shape),
        "[%s] shape %s does not broadcast to %s",
        op,
        other.shape(),
        shape);
    x.sameDevice(op, other);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor right = other.detach().to(x.dtype());
      // The primitive writes a dense result and may read an operand of that very layout, no other.
      boolean aliased = right.holds(x.memory());
      boolean direct =
          x.isContiguous()
              && (!aliased
                  || (right.isContiguous()
                      && right.offset() == x.offset()
                      && right.shape().equals(shape)));
      Tensor out = direct ? x : Tensor.empty(x.backend(), x.dtype(), shape);
      x.backend()
          .binary(
              binary,
              x.stridedBuffer(),
              x.stridesInternal(),
              right.stridedBuffer(),
              right.broadcastStrides(shape),
              out.buffer(),
              shape.dims());
      if (!direct) {
        x.backend()
            .copy(
                out.buffer(),
                out.stridesInternal(),
                x.stridedBuffer(),
                x.stridesInternal(),
                shape.dims());
      }
    }
    x.memory().bumpVersion();
    return x;
  }
}
