package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.backend.Buffer;
import io.gradus.backend.Memory;
import io.gradus.backend.Profiler;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceException;
import io.gradus.core.Shape;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicIntegerFieldUpdater;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * An n-dimensional array of one element type on one device, with automatic differentiation.
 *
 * <p>Operations return new tensors; {@code ...InPlace} methods change this one. Views (slice,
 * transpose, expand, ...) share memory with their source. Closing is optional: memory that is
 * neither closed nor in a {@link Scope} is returned when the garbage collector finds it.
 *
 * <pre>{@code
 * Tensor w = Tensor.randn(3, 2).requiresGrad(true);
 * Tensor loss = Tensor.ones(4, 3).matmul(w).square().mean();
 * loss.backward();
 * System.out.println(w.grad());
 * }</pre>
 *
 * <p>What holds for every operation, and is not repeated there:
 *
 * <ul>
 *   <li>Shapes: {@code []} is a scalar and {@code [..]} any axes. Shapes that broadcast do so by
 *       NumPy's rule: aligned at the last axis, extents are equal or one of them is 1. Negative
 *       axes count from the last.
 *   <li>Types: two tensors meet in the higher of their types (see {@link DType#promote}). A number
 *       takes the type of the tensor beside it; beside BOOL, or as a fraction beside integers, it
 *       is FLOAT32. Functions of one tensor keep its type.
 *   <li>Gradients flow through everything that is differentiable, any number of times; where an
 *       operand was broadcast its gradient is summed. Comparisons, positions and integers have
 *       none.
 *   <li>Devices: all operands are on one device, and so is the result.
 *   <li>Using a closed tensor throws {@link IllegalStateException}.
 * </ul>
 */
public final class Tensor
    implements AutoCloseable,
        TensorMath,
        TensorReductions,
        TensorViews,
        TensorIndexing,
        TensorContents,
        TensorUpdates {
  private static final AtomicIntegerFieldUpdater<Tensor> CLOSED =
      AtomicIntegerFieldUpdater.newUpdater(Tensor.class, "closed");

  private final Shape shape;

  // Changed by setData alone.
  private Memory memory;
  private Backend backend;
  private long[] strides;
  private long offset;
  private boolean contiguous;
  private @Nullable Buffer dense;

  private @Nullable AutogradMeta meta;
  private volatile @Nullable Scope owner;
  private volatile int closed;

  /** A handle that becomes an owner of the memory: the caller's reference passes to it. */
  private Tensor(Backend backend, Memory memory, Shape shape, long[] strides, long offset) {
    // Tensors outlive a profiler.
    this.backend = Profiler.plain(backend);
    this.memory = memory;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.contiguous = isDense(shape, strides);
    this.owner = Scope.own(this);
  }

  private static boolean isDense(Shape shape, long[] strides) {
    long step = 1;
    for (int i = shape.rank() - 1; i >= 0; i--) {
      long d = shape.dim(i);
      if (d != 1 && strides[i] != step) {
        return shape.numel() == 0;
      }
      step *= d;
    }
    return true;
  }

  // Factories.

  /**
   * A dense tensor of undefined contents.
   *
   * <p>Shapes: {@code -> shape}
   *
   * @throws DeviceException when the device cannot be used
   */
  public static Tensor empty(Device device, DType dtype, Shape shape) {
    return empty(Backends.of(device), dtype, shape);
  }

  static Tensor empty(Backend backend, DType dtype, Shape shape) {
    return new Tensor(backend, backend.allocate(dtype, shape.numel()), shape, shape.strides(), 0);
  }

  /** A dense tensor of a host array, whose copy may overlap with what the device does. */
  static Tensor uploadAhead(Backend backend, DType dtype, Object array, Shape shape) {
    Memory memory = backend.uploadAhead(dtype, array, 0, shape.numel());
    return new Tensor(backend, memory, shape, shape.strides(), 0);
  }

  /**
   * A tensor whose every element is {@code value}.
   *
   * <p>Shapes: {@code -> shape}
   *
   * @throws DeviceException when the device cannot be used
   */
  public static Tensor full(Device device, DType dtype, Shape shape, double value) {
    return full(Backends.of(device), dtype, shape, value);
  }

  static Tensor full(Backend backend, DType dtype, Shape shape, double value) {
    Tensor t = empty(backend, dtype, shape);
    t.backend().fill(t.buffer(), value);
    return t;
  }

  /**
   * As {@link #full(Device, DType, Shape, double)}, float32 on the CPU; no extents means a scalar.
   *
   * @throws io.gradus.core.ShapeException when an extent is negative
   */
  public static Tensor full(double value, long... dims) {
    return full(Device.cpu(), DType.FLOAT32, Shape.of(dims), value);
  }

  /**
   * A float32 scalar on the CPU.
   *
   * <p>Shapes: {@code -> []}
   */
  public static Tensor scalar(double value) {
    return full(value);
  }

  /**
   * A tensor of zeros.
   *
   * <p>Shapes: {@code -> shape}
   *
   * @throws DeviceException when the device cannot be used
   */
  public static Tensor zeros(Device device, DType dtype, Shape shape) {
    return full(device, dtype, shape, 0);
  }

  /**
   * As {@link #zeros(Device, DType, Shape)}, float32 on the CPU; no extents means a scalar.
   *
   * @throws io.gradus.core.ShapeException when an extent is negative
   */
  public static Tensor zeros(long... dims) {
    return full(0, dims);
  }

  /**
   * A float32 tensor of ones on the CPU.
   *
   * <p>Shapes: {@code -> dims}; no extents means a scalar
   *
   * @throws io.gradus.core.ShapeException when an extent is negative
   */
  public static Tensor ones(long... dims) {
    return full(1, dims);
  }

  /**
   * The INT64 numbers 0 to n - 1 on the CPU.
   *
   * <p>Shapes: {@code -> [n]}
   *
   * @throws io.gradus.core.ArgumentException when n is negative or more than a Java array holds
   */
  public static Tensor arange(long n) {
    Checks.argument(
        n >= 0 && n <= Integer.MAX_VALUE - 8,
        "[arange] cannot make %d numbers: from 0 to %d",
        n,
        Integer.MAX_VALUE - 8);
    long[] values = new long[(int) n];
    Arrays.setAll(values, i -> i);
    return of(values);
  }

  /**
   * A FLOAT32 tensor on the CPU with a copy of the data, in row-major order.
   *
   * <p>Shapes: {@code n values -> dims}; no extents means a vector {@code [n]}
   *
   * <pre>{@code
   * Tensor x = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);   // [[1, 2, 3], [4, 5, 6]]
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when the values do not fill the shape
   */
  public static Tensor of(float[] data, long... dims) {
    return upload(Device.cpu(), DType.FLOAT32, data, data.length, dims);
  }

  /** As {@link #of(float[], long...)}, of FLOAT64. */
  public static Tensor of(double[] data, long... dims) {
    return upload(Device.cpu(), DType.FLOAT64, data, data.length, dims);
  }

  /** As {@link #of(float[], long...)}, of INT32. */
  public static Tensor of(int[] data, long... dims) {
    return upload(Device.cpu(), DType.INT32, data, data.length, dims);
  }

  /** As {@link #of(float[], long...)}, of INT64: the type of indices and class labels. */
  public static Tensor of(long[] data, long... dims) {
    return upload(Device.cpu(), DType.INT64, data, data.length, dims);
  }

  /** As {@link #of(float[], long...)}, of UINT8: the bytes count as 0 to 255. */
  public static Tensor of(byte[] data, long... dims) {
    return upload(Device.cpu(), DType.UINT8, data, data.length, dims);
  }

  /** As {@link #of(float[], long...)}, of BOOL. */
  public static Tensor of(boolean[] data, long... dims) {
    byte[] bytes = new byte[data.length];
    for (int i = 0; i < data.length; i++) {
      bytes[i] = (byte) (data[i] ? 1 : 0);
    }
    return upload(Device.cpu(), DType.BOOL, bytes, data.length, dims);
  }

  private static Tensor upload(Device device, DType dtype, Object array, int length, long[] dims) {
    Shape shape = dims.length == 0 ? Shape.of(length) : Shape.of(dims);
    Checks.shape(
        shape.numel() == length,
        "[of] %d values do not fill shape %s of %d elements",
        length,
        shape,
        shape.numel());
    Capture.forbid("of");
    Tensor t = empty(device, dtype, shape);
    t.backend().upload(array, 0, t.buffer());
    return t;
  }

  /**
   * A tensor from its raw little-endian contents, which {@link #toBytes()} writes; the buffer's
   * position stays.
   *
   * <p>Shapes: {@code numel dtype.bytes() bytes -> shape}
   *
   * @throws io.gradus.core.ShapeException when the bytes do not fill the shape
   * @throws DeviceException when the device cannot be used
   */
  public static Tensor fromBytes(DType dtype, Shape shape, ByteBuffer bytes, Device device) {
    Checks.shape(
        bytes.remaining() == shape.numel() * dtype.bytes(),
        "[fromBytes] %d bytes do not fill %s %s",
        bytes.remaining(),
        dtype,
        shape);
    Capture.forbid("fromBytes");
    Tensor t = empty(device, dtype, shape);
    t.backend().upload(HostArrays.fromBytes(dtype, bytes), 0, t.buffer());
    return t;
  }

  /**
   * Uniform float32 numbers on [0, 1) on the CPU from this thread's {@link Generator}.
   *
   * <p>Shapes: {@code -> dims}; no extents means a scalar
   *
   * @throws io.gradus.core.ShapeException when an extent is negative
   */
  public static Tensor rand(long... dims) {
    return Generator.current().uniform(Device.cpu(), DType.FLOAT32, Shape.of(dims), 0, 1);
  }

  /**
   * Standard normal float32 numbers on the CPU from this thread's {@link Generator}.
   *
   * <p>Shapes: {@code -> dims}; no extents means a scalar
   *
   * @throws io.gradus.core.ShapeException when an extent is negative
   */
  public static Tensor randn(long... dims) {
    return Generator.current().normal(Device.cpu(), DType.FLOAT32, Shape.of(dims), 0, 1);
  }

  /**
   * INT64 numbers uniform on [low, high) on the CPU from this thread's {@link Generator}.
   *
   * <p>Shapes: {@code -> dims}; no extents means a scalar
   *
   * @throws io.gradus.core.ArgumentException when the range is empty or holds more than 2^32
   *     numbers
   * @throws io.gradus.core.ShapeException when an extent is negative
   */
  public static Tensor randint(long low, long high, long... dims) {
    return Generator.current().integers(Device.cpu(), DType.INT64, Shape.of(dims), low, high);
  }

  /**
   * {@code a} where the condition is true, else {@code b}; the gradient goes to the one chosen, and
   * is 0 for the other.
   *
   * <p>Shapes: broadcast, as {@code condition: [N, 1]; a, b: [N, C] -> [N, C]}
   *
   * <pre>{@code
   * Tensor safe = Tensor.where(n.gt(0), sum.div(n), Tensor.scalar(0));
   * }</pre>
   *
   * @param condition BOOL
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DTypeException when the condition is not BOOL
   * @throws DeviceException when the tensors are on different devices
   */
  public static Tensor where(Tensor condition, Tensor a, Tensor b) {
    return Elementwise.where(condition, a, b);
  }

  /**
   * Joins tensors along an axis, the only one along which they may differ.
   *
   * <p>Shapes: for axis 1, {@code [A, N, B], [A, M, B], .. -> [A, N + M + .., B]}
   *
   * <pre>{@code
   * Tensor both = Tensor.concat(-1, features, skip);   // channels of both
   * }</pre>
   *
   * @throws io.gradus.core.ArgumentException when there are no tensors
   * @throws io.gradus.core.ShapeException when the axis is out of range or other extents differ
   * @throws DeviceException when the tensors are on different devices
   */
  public static Tensor concat(int axis, Tensor... parts) {
    return Views.concat(axis, parts);
  }

  /**
   * Joins K tensors of one shape along a new axis before {@code axis}, where -1 means after the
   * last.
   *
   * <p>Shapes: for axis 0, {@code [A, B], [A, B], .. -> [K, A, B]}
   *
   * @throws io.gradus.core.ArgumentException when there are no tensors
   * @throws io.gradus.core.ShapeException when the axis is out of range or shapes differ
   * @throws DeviceException when the tensors are on different devices
   */
  public static Tensor stack(int axis, Tensor... parts) {
    return Views.stack(axis, parts);
  }

  // What it is.

  /** Extents. */
  public Shape shape() {
    return shape;
  }

  /**
   * Extent of one axis; negative axes count from the last.
   *
   * @throws io.gradus.core.ShapeException when the axis is out of range
   */
  public long size(int axis) {
    return shape.dim(axis);
  }

  /** Number of axes. */
  public int rank() {
    return shape.rank();
  }

  /** Number of elements. */
  public long numel() {
    return shape.numel();
  }

  /** Element type. */
  public DType dtype() {
    return memory.dtype();
  }

  /** Where it lives. */
  public Device device() {
    return backend.device();
  }

  /** Elements from one index to the next, for each axis. */
  public long[] strides() {
    return strides.clone();
  }

  /** Whether the elements lie in memory in row-major order without gaps. */
  public boolean isContiguous() {
    return contiguous;
  }

  /** What operations on it call. */
  Backend backend() {
    return Profiler.of(backend);
  }

  /** Whether its memory is of a backend. */
  boolean isOn(Backend other) {
    return backend == Profiler.plain(other);
  }

  long[] stridesInternal() {
    return strides;
  }

  long offset() {
    return offset;
  }

  Memory memory() {
    Checks.state(
        closed == 0 && !memory.isClosed(),
        "[tensor] use after close: this tensor %s was closed, or the scope it was made in was; keep"
            + " it with Scope.keep",
        shape);
    return memory;
  }

  /** Whether the handle still names this memory: setData changes it. */
  boolean holds(Memory other) {
    return memory == other;
  }

  /** The elements as a window for dense primitives. */
  Buffer buffer() {
    Checks.state(contiguous, "[tensor] %s is not contiguous", shape);
    Memory live = memory();
    Buffer window = dense;
    if (window == null || window.memory() != live) {
      window = new Buffer(live, offset, numel());
      dense = window;
    }
    return window;
  }

  /**
   * The elements of matrices that are stored transposed without gaps, or null where they are not.
   */
  @Nullable Buffer bufferOfTransposed() {
    int rank = shape.rank();
    long rows = shape.dim(-2);
    long step = shape.dim(-1) * rows;
    if (strides[rank - 2] != 1 || strides[rank - 1] != rows) {
      return null;
    }
    for (int axis = rank - 3; axis >= 0; axis--) {
      if (strides[axis] != step) {
        return null;
      }
      step *= shape.dim(axis);
    }
    return new Buffer(memory(), offset, numel());
  }

  /** The window that strided primitives start from. */
  Buffer stridedBuffer() {
    return new Buffer(memory(), offset, memory.length() - offset);
  }

  /** Strides for reading this tensor as if it had the shape it broadcasts to. */
  long[] broadcastStrides(Shape target) {
    if (shape.equals(target)) {
      return strides;
    }
    long[] out = new long[target.rank()];
    int shift = target.rank() - rank();
    for (int i = 0; i < rank(); i++) {
      out[shift + i] = shape.dim(i) == 1 ? 0 : strides[i];
    }
    return out;
  }

  /** Another handle of the same memory, with a layout of its own and no part in the graph. */
  Tensor view(Shape newShape, long[] newStrides, long newOffset) {
    return new Tensor(backend, memory().retain(), newShape, newStrides, newOffset);
  }

  /** Another handle of the same value. */
  Tensor alias() {
    Tensor t = view(shape, strides, offset);
    t.meta = meta;
    return t;
  }

  /** A fresh handle of a value that a graph has kept alive although its handle may be closed. */
  Tensor revive() {
    Tensor t = new Tensor(backend, memory.retain(), shape, strides, offset);
    t.meta = meta;
    return t;
  }

  // Autograd.

  @Nullable AutogradMeta meta() {
    return meta;
  }

  void setMeta(@Nullable AutogradMeta newMeta) {
    meta = newMeta;
  }

  AutogradMeta requireMeta() {
    AutogradMeta m = meta;
    if (m == null) {
      m = new AutogradMeta();
      meta = m;
    }
    return m;
  }

  /**
   * Whether gradients flow to this tensor: it is a leaf that asks for one, or was computed from
   * such.
   */
  public boolean requiresGrad() {
    AutogradMeta m = meta;
    return m != null && m.requiresGrad;
  }

  /**
   * Sets whether gradients flow to this tensor.
   *
   * @return this
   * @throws io.gradus.core.DTypeException when the type is not floating
   * @throws IllegalStateException when it was computed by the graph: use {@link #detach()}
   */
  public Tensor requiresGrad(boolean required) {
    Checks.dtype(
        !required || dtype().isFloating(),
        "[requiresGrad] only floating tensors have gradients, not %s",
        dtype());
    AutogradMeta m = requireMeta();
    Checks.state(
        required || m.producer == null,
        "[requiresGrad] %s was computed by %s: use detach() for a tensor outside the graph",
        shape,
        m.producer == null ? "" : m.producer.name());
    m.requiresGrad = required;
    return this;
  }

  /** Whether this tensor was made by the user rather than computed by a recorded operation. */
  public boolean isLeaf() {
    AutogradMeta m = meta;
    return m == null || m.producer == null;
  }

  /** The accumulated gradient, of this shape and type, or null where there is none yet. */
  public @Nullable Tensor grad() {
    AutogradMeta m = meta;
    return m == null || m.gradStale ? null : m.grad;
  }

  /**
   * Replaces the gradient; null removes it.
   *
   * @throws io.gradus.core.ShapeException when it has another shape
   * @throws io.gradus.core.DTypeException when it has another type
   * @throws DeviceException when it is on another device
   */
  public void setGrad(@Nullable Tensor gradient) {
    if (gradient != null) {
      Checks.shape(
          gradient.shape.equals(shape),
          "[setGrad] the gradient has shape %s but the tensor %s",
          gradient.shape,
          shape);
      Checks.dtype(
          gradient.dtype() == dtype(),
          "[setGrad] the gradient is %s but the tensor %s",
          gradient.dtype(),
          dtype());
      sameDevice("setGrad", gradient);
      Scope.escape(gradient);
    }
    AutogradMeta m = requireMeta();
    m.grad = gradient;
    m.gradStale = false;
  }

  /**
   * Gives the gradient a fixed place, such as a part of an optimizer's arena: the gradient there is
   * moves into it, and those to come are written there.
   *
   * <pre>{@code
   * Tensor arena = Tensor.zeros(w.numel() + b.numel());
   * w.setGradBuffer(arena.slice(0, 0, w.numel()).reshape(w.shape().dims()));
   * b.setGradBuffer(arena.slice(0, w.numel(), arena.numel()).reshape(b.shape().dims()));
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when it has another shape
   * @throws io.gradus.core.DTypeException when it has another type
   * @throws DeviceException when it is on another device
   */
  public void setGradBuffer(Tensor buffer) {
    Tensor before = grad();
    if (before != null) {
      try (GradMode.Guard g = GradMode.noGrad()) {
        buffer.copyFrom(before);
      }
    }
    setGrad(buffer);
    if (before == null) {
      requireMeta().outdateGrad();
    }
  }

  /** Forgets the gradient; its memory is overwritten by the next one. */
  public void zeroGrad() {
    AutogradMeta m = meta;
    if (m != null && m.grad != null) {
      m.outdateGrad();
    }
  }

  /**
   * Keeps the gradient of this computed tensor in {@link #grad()}, as leaves do anyway.
   *
   * @throws IllegalStateException when this requires no gradient
   */
  public void retainGrad() {
    Checks.state(
        requiresGrad(), "[retainGrad] %s requires no gradient, so it will have none", shape);
    requireMeta().retainGrad = true;
  }

  /**
   * Calls a function with every gradient that reaches this tensor, summed over all its uses; what
   * it returns takes the gradient's place. Hooks run in the order of their registration.
   *
   * <pre>{@code
   * GradMode.Guard hook = hidden.registerHook(g -> g.clamp(-1, 1));
   * loss.backward();
   * hook.close();
   * }</pre>
   *
   * @param hook from the gradient to one of the same shape
   * @return a guard that removes the hook
   * @throws IllegalStateException when this requires no gradient
   */
  public GradMode.Guard registerHook(UnaryOperator<Tensor> hook) {
    Checks.state(
        requiresGrad(), "[registerHook] %s requires no gradient, so none reaches it", shape);
    AutogradMeta m = requireMeta();
    m.hooks.add(hook);
    return () -> m.hooks.remove(hook);
  }

  /**
   * The same value outside the graph; shares memory.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  public Tensor detach() {
    return view(shape, strides, offset);
  }

  /**
   * As {@link #backward(boolean, boolean)}, freeing what the graph saved.
   *
   * <pre>{@code
   * Tensor x = Tensor.scalar(3).requiresGrad(true);
   * x.square().backward();
   * x.grad().item();   // 6
   * }</pre>
   */
  public void backward() {
    backward(false, false);
  }

  /**
   * Computes the gradients of this scalar with respect to all leaves that require one, and adds
   * them to their {@link #grad()}.
   *
   * <p>Shapes: {@code [] or [1, .., 1]}
   *
   * <pre>{@code
   * Tensor x = Tensor.scalar(3).requiresGrad(true);
   * x.pow(3).backward(false, true);
   * Tensor slope = x.grad();   // 3 x^2 = 27
   * Autograd.grad(slope, x)[0].item();   // 6 x = 18
   * }</pre>
   *
   * @param retainGraph whether backward can be called again
   * @param createGraph whether the gradients can be differentiated again (implies retainGraph)
   * @throws io.gradus.core.ShapeException when there is not exactly one element
   * @throws IllegalStateException when this requires no gradient, the graph was freed, or a saved
   *     tensor was changed in place
   */
  public void backward(boolean retainGraph, boolean createGraph) {
    Checks.shape(
        numel() == 1,
        "[backward] the tensor has shape %s: pass its gradient, or reduce it to one element",
        shape);
    try (Tensor one = full(backend, dtype(), shape, 1)) {
      Autograd.backward(new Tensor[] {this}, new Tensor[] {one}, retainGraph, createGraph);
    }
  }

  /**
   * As {@link #backward()} for a tensor of any shape, from its gradient: computes {@code sum over i
   * of gradient_i d this_i / d leaf}.
   *
   * <p>Shapes: {@code this: [..], gradient: [..]}
   *
   * @throws io.gradus.core.ShapeException when the gradient has another shape
   * @throws io.gradus.core.DTypeException when the gradient has another type
   * @throws DeviceException when the gradient is on another device
   * @throws IllegalStateException as for {@link #backward(boolean, boolean)}
   */
  public void backward(Tensor gradient) {
    Autograd.backward(new Tensor[] {this}, new Tensor[] {gradient}, false, false);
  }

  // Contents.

  /**
   * The same values in row-major order: this tensor where it already is.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  public Tensor contiguous() {
    return contiguous ? this : new Views.Copy().apply(this);
  }

  /**
   * The same values in memory of their own, in row-major order; gradients flow through.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  public Tensor copy() {
    return new Views.Copy().apply(this);
  }

  /**
   * The same values in another type, or this tensor where it has that type; gradients flow between
   * floating types. Fractions become integers toward zero, narrower integers keep the low bits, and
   * BOOL is whether a value is not 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <pre>{@code
   * Tensor pixels = bytes.to(DType.FLOAT32).div(255);
   * }</pre>
   */
  public Tensor to(DType dtype) {
    return dtype == dtype() ? this : new Elementwise.Cast(dtype).apply(this);
  }

  /**
   * The same values on another device, or this tensor where it is there; gradients flow through.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws DeviceException when the device cannot be used
   */
  public Tensor to(Device device) {
    return device.equals(device()) ? this : new Views.Transfer(device).apply(this);
  }

  /**
   * Makes this handle share the memory of another tensor of the same shape, whose type and device
   * it takes. So parameters move to another device or into an optimizer's arena while everybody who
   * holds them sees the move. The gradient is dropped when the type or device changes.
   *
   * <p>Shapes: {@code this: [..], source: [..] -> this}
   *
   * @return this
   * @throws IllegalStateException when this was computed by a recorded operation
   * @throws io.gradus.core.ShapeException when the source has another shape
   * @throws io.gradus.core.DTypeException when this requires a gradient and the source is not
   *     floating
   */
  public Tensor setData(Tensor source) {
    Checks.state(isLeaf(), "[setData] only leaves can be moved, not results of operations");
    Checks.shape(
        source.shape.equals(shape),
        "[setData] shape %s cannot take the place of %s",
        source.shape,
        shape);
    boolean foreign = source.dtype() != dtype() || source.backend != backend;
    Checks.dtype(
        !requiresGrad() || source.dtype().isFloating(),
        "[setData] %s requires a gradient and cannot become %s",
        shape,
        source.dtype());
    Memory before = memory;
    memory = source.memory().retain();
    backend = source.backend;
    strides = source.strides;
    offset = source.offset;
    contiguous = source.contiguous;
    dense = null;
    before.release();
    AutogradMeta m = meta;
    if (m != null && foreign) {
      m.grad = null;
      m.gradStale = false;
    }
    return this;
  }

  void sameDevice(String op, Tensor other) {
    if (backend != other.backend) {
      throw new DeviceException(
          "["
              + op
              + "] tensors are on different devices, "
              + device()
              + " and "
              + other.device()
              + ": move one with to(device)");
    }
  }

  // Lifetime.

  @Nullable Scope owner() {
    return owner;
  }

  void setOwner(@Nullable Scope scope) {
    owner = scope;
  }

  void releaseFromScope() {
    owner = null;
    if (CLOSED.compareAndSet(this, 0, 1)) {
      memory.release();
    }
  }

  /** Whether this handle was closed. */
  public boolean isClosed() {
    return closed != 0;
  }

  /**
   * Gives up this handle; the memory is freed with the last handle, view and graph that uses it.
   *
   * @throws IllegalStateException when closed twice, or by a thread other than that of its scope
   */
  @Override
  public void close() {
    Scope scope = owner;
    Checks.state(
        scope == null || scope.thread() == Thread.currentThread(),
        "[tensor] %s belongs to a scope of another thread: only that thread can close it",
        shape);
    Checks.state(
        CLOSED.compareAndSet(this, 0, 1), "[tensor] double close: %s was already closed", shape);
    owner = null;
    memory.release();
  }

  /** Type, shape and up to eight values. */
  @Override
  public String toString() {
    if (closed != 0) {
      return dtype() + " " + shape + " (closed)";
    }
    double[] values;
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor flat = detach().reshape(-1);
      values = flat.slice(0, 0, Math.min(8, flat.numel())).toDoubles();
    }
    String text = Arrays.toString(values);
    if (numel() > values.length) {
      text = text.substring(0, text.length() - 1) + ", ...]";
    }
    return dtype() + " " + shape + " " + text;
  }
}
