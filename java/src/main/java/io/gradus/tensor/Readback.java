package io.gradus.tensor;

import io.gradus.backend.Backends;
import io.gradus.backend.HostCopy;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;

/**
 * Values on their way to the host: the copy is begun behind the work that makes them, and only who
 * reads it waits, for that copy alone. The room is made once, so that reading the loss of every
 * step makes no garbage.
 *
 * <pre>{@code
 * try (Readback loss = new Readback(device, DType.FLOAT32, Shape.SCALAR)) {
 *   loss.start(step.run(x, y)[0]);
 *   prepareTheNextBatch();
 *   double value = loss.get();
 * }
 * }</pre>
 */
public final class Readback implements AutoCloseable {
  private final Device device;
  private final DType dtype;
  private final Shape shape;
  private final HostCopy copy;
  private boolean started;

  /**
   * Room for tensors of a device, type and shape.
   *
   * @throws io.gradus.core.ArgumentException when the type has 16 bits, or they do not fit in one
   *     Java array
   */
  public Readback(Device device, DType dtype, Shape shape) {
    Checks.argument(
        shape.numel() <= Integer.MAX_VALUE - 8, "[readback] %s is too large: read slices", shape);
    this.device = device;
    this.dtype = dtype;
    this.shape = shape;
    this.copy = Backends.of(device).hostCopy(dtype, (int) shape.numel());
  }

  /**
   * Begins to copy what a tensor holds when all operations so far are done; it can be changed by
   * later ones. The values of the copy before are lost.
   *
   * @throws io.gradus.core.ArgumentException when device, type or shape are not those of the room,
   *     or the tensor is not contiguous
   * @throws io.gradus.core.CaptureException when this thread captures a step
   */
  public void start(Tensor x) {
    Capture.forbid("readback");
    boolean fits = x.dtype() == dtype && x.shape().equals(shape) && x.device().equals(device);
    if (!fits || !x.isContiguous()) {
      throw new ArgumentException(
          String.format(
              "[readback] %s %s on %s does not fit room for %s %s on %s, contiguous",
              x.dtype(), x.shape(), x.device(), dtype, shape, device));
    }
    copy.start(x.buffer());
    started = true;
  }

  /** Whether reading would not wait. */
  public boolean isDone() {
    return copy.isDone();
  }

  /** The value of a tensor of one element; waits for it. */
  public double get() {
    Checks.shape(shape.numel() == 1, "[readback] %s has not one element: name one", shape);
    return get(0);
  }

  /**
   * An element in row-major order; waits for it.
   *
   * @throws IllegalStateException when no copy was begun
   */
  public double get(int index) {
    Checks.state(started, "[readback] nothing was read yet: call start(tensor)");
    return copy.get(index);
  }

  @Override
  public void close() {
    copy.close();
  }
}
