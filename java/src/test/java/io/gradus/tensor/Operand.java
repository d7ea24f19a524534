package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * One input of a test case: its shape, how its values are drawn, how it lies in memory, and whether
 * its gradient is wanted.
 */
final class Operand {
  /** How the elements lie in memory. */
  enum Layout {
    DENSE,
    /** The last two axes are stored exchanged. */
    TRANSPOSED,
    /** Every second element of every axis of a larger array, from the second on. */
    SLICED,
    /** The first axis is a repetition: stride 0. */
    EXPANDED
  }

  private final long[] dims;
  private final Layout layout;
  private final boolean differentiable;
  private final @Nullable DType fixedType;
  private final double low;
  private final double high;
  private final double grid;
  private final double @Nullable [] values;

  private Operand(
      long[] dims,
      Layout layout,
      boolean differentiable,
      @Nullable DType fixedType,
      double low,
      double high,
      double grid,
      double @Nullable [] values) {
    this.dims = dims;
    this.layout = layout;
    this.differentiable = differentiable;
    this.fixedType = fixedType;
    this.low = low;
    this.high = high;
    this.grid = grid;
    this.values = values;
  }

  /** A differentiable input, uniform on [-2, 2). */
  static Operand x(long... dims) {
    return new Operand(dims.clone(), Layout.DENSE, true, null, -2, 2, 0, null);
  }

  /** INT64 indices on [0, size). */
  static Operand index(long size, long... dims) {
    return new Operand(dims.clone(), Layout.DENSE, false, DType.INT64, 0, size - 1, 1, null);
  }

  /** A BOOL mask, true for about half of the elements. */
  static Operand mask(long... dims) {
    return new Operand(dims.clone(), Layout.DENSE, false, DType.BOOL, 0, 1, 1, null);
  }

  /** Values uniform on [newLow, newHigh). */
  Operand range(double newLow, double newHigh) {
    return new Operand(dims, layout, differentiable, fixedType, newLow, newHigh, grid, values);
  }

  /** Values rounded to multiples of a step, so that equal ones occur. */
  Operand grid(double step) {
    return new Operand(dims, layout, differentiable, fixedType, low, high, step, values);
  }

  /** These values. */
  Operand values(double... newValues) {
    return new Operand(dims, layout, differentiable, fixedType, low, high, grid, newValues.clone());
  }

  /** An input whose gradient is not asked for. */
  Operand constant() {
    return new Operand(dims, layout, false, fixedType, low, high, grid, values);
  }

  /** An input of one type, whatever the type of the case. */
  Operand typed(DType dtype) {
    return new Operand(dims, layout, false, dtype, low, high, grid, values);
  }

  Operand transposed() {
    return lying(Layout.TRANSPOSED);
  }

  Operand sliced() {
    return lying(Layout.SLICED);
  }

  Operand expanded() {
    return lying(Layout.EXPANDED);
  }

  Operand dense() {
    return lying(Layout.DENSE);
  }

  private Operand lying(Layout newLayout) {
    return new Operand(dims, newLayout, differentiable, fixedType, low, high, grid, values);
  }

  boolean differentiable() {
    return differentiable;
  }

  boolean isDense() {
    return layout == Layout.DENSE;
  }

  /** The extent of an axis; negative axes count from the last. */
  long dim(int axis) {
    return dims[axis < 0 ? axis + dims.length : axis];
  }

  long numel() {
    return Shape.of(dims).numel();
  }

  DType dtype(DType ofCase) {
    return fixedType == null ? ofCase : fixedType;
  }

  /** Draws the values, in row-major order. */
  double[] draw(SplittableRandom random) {
    if (values != null) {
      return values.clone();
    }
    double[] out = new double[Math.toIntExact(numel())];
    for (int i = 0; i < out.length; i++) {
      double v = low + (high - low) * random.nextDouble();
      out[i] = grid == 0 ? v : Math.rint(v / grid) * grid;
    }
    if (layout == Layout.EXPANDED && out.length > 0) {
      int row = Math.toIntExact(out.length / dims[0]);
      for (int i = row; i < out.length; i++) {
        out[i] = out[i - row];
      }
    }
    return out;
  }

  /** A leaf with these values on a device. */
  Tensor build(Device device, DType ofCase, double[] contents) {
    DType dtype = dtype(ofCase);
    Shape shape = Shape.of(dims);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor host = Tensor.empty(Device.reference(), DType.FLOAT64, shape);
      Backend cpu = Backends.of(Device.reference());
      cpu.upload(contents, 0, Buffer.of(host.memory()));
      Tensor dense = host.to(dtype).to(device);
      Tensor leaf = arrange(dense, shape).detach();
      if (differentiable && dtype.isFloating()) {
        leaf.requiresGrad(true);
      }
      return s.keep(leaf);
    }
  }

  private Tensor arrange(Tensor dense, Shape shape) {
    return switch (layout) {
      case DENSE -> dense;
      case TRANSPOSED -> dense.t().copy().t();
      case SLICED -> {
        long[] larger = Arrays.stream(dims).map(d -> 2 * d + 1).toArray();
        Tensor window = Tensor.full(dense.device(), dense.dtype(), Shape.of(larger), 1);
        for (int i = 0; i < dims.length; i++) {
          window = window.slice(i, 1, 1 + 2 * dims[i], 2);
        }
        yield window.copyFrom(dense);
      }
      case EXPANDED -> dense.slice(0, 0, 1).copy().expand(shape.dims());
    };
  }

  @Override
  public String toString() {
    String type = fixedType == null ? "" : fixedType + " ";
    return type
        + Arrays.toString(dims)
        + switch (layout) {
          case DENSE -> "";
          case TRANSPOSED -> " transposed";
          case SLICED -> " sliced";
          case EXPANDED -> " expanded";
        };
  }
}
