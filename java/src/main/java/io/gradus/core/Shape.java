package io.gradus.core;

import java.util.Arrays;

/**
 * The extents of a tensor, immutable. A scalar has rank 0 and one element.
 *
 * <p>Every operation makes shapes: checks here build their message when they fail, not before.
 */
public final class Shape {
  /** The shape of a scalar. */
  public static final Shape SCALAR = new Shape(new long[0]);

  private final long[] dims;
  private final long numel;

  private Shape(long[] dims) {
    this.dims = dims;
    long n = 1;
    for (long d : dims) {
      if (d < 0) {
        throw new ShapeException("[shape] extents cannot be negative: " + Arrays.toString(dims));
      }
      n = Math.multiplyExact(n, d);
    }
    this.numel = n;
  }

  /**
   * A shape of the given extents.
   *
   * @throws ShapeException when an extent is negative
   */
  public static Shape of(long... dims) {
    return dims.length == 0 ? SCALAR : new Shape(dims.clone());
  }

  /** Number of dimensions. */
  public int rank() {
    return dims.length;
  }

  /** Number of elements: the product of the extents. */
  public long numel() {
    return numel;
  }

  /**
   * Extent of one axis; negative axes count from the last.
   *
   * @throws ShapeException when the axis is out of range
   */
  public long dim(int axis) {
    return dims[axis(axis, "shape")];
  }

  /** The extents, as a fresh array. */
  public long[] dims() {
    return dims.clone();
  }

  /**
   * The axis as a non-negative number.
   *
   * @throws ShapeException when the axis is out of range; {@code op} names the operation
   */
  public int axis(int axis, String op) {
    int a = axis < 0 ? axis + dims.length : axis;
    Checks.shape(
        a >= 0 && a < dims.length,
        "[%s] axis %d is out of range for shape %s (valid: %d to %d)",
        op,
        axis,
        this,
        -dims.length,
        dims.length - 1);
    return a;
  }

  /** Which axes a list names; none named means all of them. */
  public boolean[] axes(int[] axes, String op) {
    boolean[] mask = new boolean[dims.length];
    if (axes.length == 0) {
      Arrays.fill(mask, true);
    }
    for (int axis : axes) {
      int a = axis(axis, op);
      Checks.shape(!mask[a], "[%s] axis %d is named twice in %s", op, axis, Arrays.toString(axes));
      mask[a] = true;
    }
    return mask;
  }

  /** This shape with the marked axes reduced to extent 1, or dropped. */
  public Shape reduce(boolean[] axes, boolean keepDim) {
    long[] out = new long[dims.length];
    int n = 0;
    for (int i = 0; i < dims.length; i++) {
      if (!axes[i]) {
        out[n++] = dims[i];
      } else if (keepDim) {
        out[n++] = 1;
      }
    }
    return new Shape(Arrays.copyOf(out, n));
  }

  /** This shape with the extent of one axis replaced. */
  public Shape with(int axis, long extent) {
    long[] out = dims.clone();
    out[axis(axis, "shape")] = extent;
    return new Shape(out);
  }

  /** This shape without one axis. */
  public Shape without(int axis) {
    int a = axis(axis, "shape");
    long[] out = new long[dims.length - 1];
    System.arraycopy(dims, 0, out, 0, a);
    System.arraycopy(dims, a + 1, out, a, out.length - a);
    return new Shape(out);
  }

  /** This shape with an axis of the given extent inserted before {@code axis}. */
  public Shape insert(int axis, long extent) {
    int a = axis < 0 ? axis + dims.length + 1 : axis;
    if (a < 0 || a > dims.length) {
      throw new ShapeException("[shape] cannot insert an axis at " + axis + " into " + this);
    }
    long[] out = new long[dims.length + 1];
    System.arraycopy(dims, 0, out, 0, a);
    out[a] = extent;
    System.arraycopy(dims, a, out, a + 1, dims.length - a);
    return new Shape(out);
  }

  /** Row-major strides in elements. */
  public long[] strides() {
    long[] s = new long[dims.length];
    long step = 1;
    for (int i = dims.length - 1; i >= 0; i--) {
      s[i] = step;
      step *= Math.max(1, dims[i]);
    }
    return s;
  }

  /** Product of the extents of axes {@code from} (inclusive) to {@code to} (exclusive). */
  public long product(int from, int to) {
    long n = 1;
    for (int i = from; i < to; i++) {
      n *= dims[i];
    }
    return n;
  }

  /**
   * The shape to which two shapes broadcast by NumPy's rule: aligned at the last axis, extents are
   * equal or one of them is 1.
   *
   * @throws ShapeException when they do not; {@code op} names the operation
   */
  public static Shape broadcast(Shape a, Shape b, String op) {
    if (a.equals(b)) {
      return a;
    }
    int rank = Math.max(a.rank(), b.rank());
    long[] out = new long[rank];
    for (int i = 1; i <= rank; i++) {
      long x = i <= a.rank() ? a.dims[a.rank() - i] : 1;
      long y = i <= b.rank() ? b.dims[b.rank() - i] : 1;
      if (x != y && x != 1 && y != 1) {
        throw new ShapeException(
            String.format(
                "[%s] shapes %s and %s do not broadcast: %d and %d at axis %d from the right",
                op, a, b, x, y, i));
      }
      out[rank - i] = x == 1 ? y : x;
    }
    return new Shape(out);
  }

  /** Whether this shape broadcasts to exactly {@code target}. */
  public boolean broadcastsTo(Shape target) {
    if (rank() > target.rank()) {
      return false;
    }
    for (int i = 1; i <= rank(); i++) {
      long x = dims[rank() - i];
      if (x != 1 && x != target.dims[target.rank() - i]) {
        return false;
      }
    }
    return true;
  }

  /**
   * The shape meant by a list of extents in which one may be -1 for "what is left".
   *
   * @throws ShapeException when the number of elements does not come out
   */
  public Shape reshape(long... target) {
    long known = 1;
    int hole = -1;
    for (int i = 0; i < target.length; i++) {
      if (target[i] == -1) {
        if (hole >= 0) {
          throw new ShapeException(
              "[reshape] only one extent can be -1: " + Arrays.toString(target));
        }
        hole = i;
      } else {
        if (target[i] < 0) {
          throw new ShapeException(
              "[reshape] extents cannot be negative, but for one -1: " + Arrays.toString(target));
        }
        known *= target[i];
      }
    }
    long[] out = target.clone();
    if (hole >= 0) {
      if (known == 0 || numel % known != 0) {
        throw new ShapeException(
            String.format(
                "[reshape] cannot infer -1: %s has %d elements, not a multiple of %d in %s",
                this, numel, known, Arrays.toString(target)));
      }
      out[hole] = numel / known;
      known *= out[hole];
    }
    if (known != numel) {
      throw new ShapeException(
          String.format(
              "[reshape] %s has %d elements but %s has %d",
              this, numel, Arrays.toString(target), known));
    }
    return new Shape(out);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape s && Arrays.equals(dims, s.dims);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(dims);
  }

  /** The extents in brackets, such as {@code [8, 32, 32, 3]}. */
  @Override
  public String toString() {
    return Arrays.toString(dims);
  }
}
