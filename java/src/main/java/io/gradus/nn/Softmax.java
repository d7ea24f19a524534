package io.gradus.nn;

import io.gradus.tensor.Tensor;

/** y = e^x / sum of e^x along an axis; losses take the logits before it. Shapes: any. */
public final class Softmax extends Module {
  private final int axis;

  /** Along the last axis. */
  public Softmax() {
    this(-1);
  }

  /** Along an axis; negative axes count from the last. */
  public Softmax(int axis) {
    this.axis = axis;
  }

  @Override
  public Tensor forward(Tensor x) {
    return io.gradus.tensor.Softmax.softmax(x, axis);
  }

  @Override
  protected String describe() {
    return "Softmax(axis=" + axis + ")";
  }
}
