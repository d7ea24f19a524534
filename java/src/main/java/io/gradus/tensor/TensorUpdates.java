package io.gradus.tensor;

import io.gradus.backend.BinaryOp;
import io.gradus.core.Checks;
import io.gradus.core.Shape;

/**
 * Methods of {@link Tensor} that change it in place, in its own type, and return it. They are not
 * recorded: a tensor that requires a gradient can be changed under {@link GradMode#noGrad()} only,
 * and a graph that saved the old value says so in its backward.
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
   * Copies values into this tensor, in place, converting their type and bringing them from any
   * device.
   *
   * <p>Shapes: {@code this: [..], source: broadcasts to it -> this}
   *
   * <pre>{@code
   * buffer.slice(0, 0, 8).copyFrom(batch);   // writes into the buffer: a slice shares its memory
   * }</pre>
   *
   * @return this
   * @throws io.gradus.core.ShapeException when the source does not broadcast to this shape
   * @throws IllegalStateException when this requires a gradient and gradients are recorded
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
   * Sets every element, in place.
   *
   * <p>Shapes: {@code [..] -> this}
   *
   * @return this
   * @throws IllegalStateException when this requires a gradient and gradients are recorded
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
   * {@code this += other}, in place, in the type of this.
   *
   * <p>Shapes: {@code this: [..], other: broadcasts to it -> this}
   *
   * <pre>{@code
   * try (GradMode.Guard g = GradMode.noGrad()) {
   *   w.addInPlace(w.grad().mul(-0.1));   // a step of gradient descent
   * }
   * }</pre>
   *
   * @return this
   * @throws io.gradus.core.ShapeException when other does not broadcast to this shape
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   * @throws IllegalStateException when this requires a gradient and gradients are recorded
   */
  default Tensor addInPlace(Tensor other) {
    return updateInPlace("addInPlace", BinaryOp.ADD, other);
  }

  /**
   * {@code this -= other}, in place, in the type of this.
   *
   * <p>Shapes: {@code this: [..], other: broadcasts to it -> this}
   *
   * @return this
   * @throws io.gradus.core.ShapeException when other does not broadcast to this shape
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   * @throws IllegalStateException when this requires a gradient and gradients are recorded
   */
  default Tensor subInPlace(Tensor other) {
    return updateInPlace("subInPlace", BinaryOp.SUB, other);
  }

  /**
   * {@code this *= other}, element by element, in place, in the type of this.
   *
   * <p>Shapes: {@code this: [..], other: broadcasts to it -> this}
   *
   * @return this
   * @throws io.gradus.core.ShapeException when other does not broadcast to this shape
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   * @throws IllegalStateException when this requires a gradient and gradients are recorded
   */
  default Tensor mulInPlace(Tensor other) {
    return updateInPlace("mulInPlace", BinaryOp.MUL, other);
  }

  /**
   * As {@link #addInPlace(Tensor)} with a number, converted to the type of this.
   *
   * @return this
   */
  default Tensor addInPlace(double value) {
    try (Scope s = Scope.open()) {
      return addInPlace(number(value));
    }
  }

  /**
   * As {@link #mulInPlace(Tensor)} with a number, converted to the type of this.
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
