package io.gradus.testing;

import java.util.Arrays;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.function.ToDoubleFunction;

/**
 * A dense row-major array of doubles for naive references: every result is computed index by index,
 * sharing no code with the engine.
 */
public final class Nd {
  private final long[] dims;
  private final double[] data;

  private Nd(long[] dims, double[] data) {
    this.dims = dims;
    this.data = data;
    if (count(dims) != data.length) {
      throw new IllegalArgumentException(data.length + " values for " + Arrays.toString(dims));
    }
  }

  /** An array of the given extents and contents. */
  public static Nd of(long[] dims, double... data) {
    return new Nd(dims.clone(), data);
  }

  /** An array whose element at an index is a function of the index. */
  public static Nd generate(long[] dims, ToDoubleFunction<long[]> element) {
    double[] data = new double[(int) count(dims)];
    long[] index = new long[dims.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = element.applyAsDouble(index);
      next(index, dims);
    }
    return new Nd(dims.clone(), data);
  }

  /** Number of elements of a shape. */
  public static long count(long[] dims) {
    return Arrays.stream(dims).reduce(1, (a, b) -> a * b);
  }

  private static void next(long[] index, long[] dims) {
    for (int i = dims.length - 1; i >= 0; i--) {
      if (++index[i] < dims[i]) {
        return;
      }
      index[i] = 0;
    }
  }

  /** The extents. */
  public long[] dims() {
    return dims.clone();
  }

  /** The extent of one axis; negative axes count from the last. */
  public long dim(int axis) {
    return dims[axis < 0 ? axis + dims.length : axis];
  }

  /** Number of axes. */
  public int rank() {
    return dims.length;
  }

  /** The elements; not a copy. */
  public double[] data() {
    return data;
  }

  /** The element at an index. */
  public double at(long... index) {
    long at = 0;
    for (int i = 0; i < dims.length; i++) {
      if (index[i] < 0 || index[i] >= dims[i]) {
        throw new IndexOutOfBoundsException(
            Arrays.toString(index) + " in " + Arrays.toString(dims));
      }
      at = at * dims[i] + index[i];
    }
    return data[(int) at];
  }

  /** The element that a broadcast of this array has at an index of the larger shape. */
  public double broadcastAt(long... index) {
    long[] own = new long[dims.length];
    for (int i = 0; i < own.length; i++) {
      own[i] = dims[i] == 1 ? 0 : index[index.length - own.length + i];
    }
    return at(own);
  }

  /** The function of every element. */
  public Nd map(DoubleUnaryOperator f) {
    return new Nd(dims, Arrays.stream(data).map(f).toArray());
  }

  /** The function of every pair of elements after broadcasting. */
  public static Nd zip(Nd a, Nd b, DoubleBinaryOperator f) {
    return generate(
        broadcast(a.dims, b.dims), i -> f.applyAsDouble(a.broadcastAt(i), b.broadcastAt(i)));
  }

  /** NumPy's broadcast shape; the shapes are taken to be compatible. */
  public static long[] broadcast(long[] a, long[] b) {
    long[] out = new long[Math.max(a.length, b.length)];
    for (int i = 1; i <= out.length; i++) {
      long x = i <= a.length ? a[a.length - i] : 1;
      long y = i <= b.length ? b[b.length - i] : 1;
      out[out.length - i] = x == 1 ? y : x;
    }
    return out;
  }

  /** Applies a function to the elements of every group along the axes (none named means all). */
  public Nd reduce(boolean keepDim, ToDoubleFunction<double[]> f, int... axes) {
    boolean[] reduced = new boolean[dims.length];
    Arrays.fill(reduced, axes.length == 0);
    for (int axis : axes) {
      reduced[axis < 0 ? axis + dims.length : axis] = true;
    }
    long[] inner = dims.clone();
    long[] kept = dims.clone();
    for (int i = 0; i < dims.length; i++) {
      if (reduced[i]) {
        kept[i] = 1;
      } else {
        inner[i] = 1;
      }
    }
    Nd result =
        generate(
            kept,
            at ->
                f.applyAsDouble(
                    generate(
                            inner,
                            i -> {
                              long[] sum = at.clone();
                              for (int k = 0; k < sum.length; k++) {
                                sum[k] += i[k];
                              }
                              return at(sum);
                            })
                        .data));
    if (keepDim) {
      return result;
    }
    long[] left = new long[dims.length];
    int n = 0;
    for (int i = 0; i < dims.length; i++) {
      if (!reduced[i]) {
        left[n++] = dims[i];
      }
    }
    return new Nd(Arrays.copyOf(left, n), result.data);
  }

  /** The same elements under other extents. */
  public Nd reshape(long... newDims) {
    return new Nd(newDims.clone(), data);
  }

  @Override
  public String toString() {
    return Arrays.toString(dims) + Arrays.toString(data);
  }
}
