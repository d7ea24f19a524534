package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.longs;

import io.gradus.backend.Buffer;
import io.gradus.backend.IndexShape;
import io.gradus.core.DType;

/** Reading and adding at computed positions. */
final class Indexing {
  private Indexing() {}

  static void gather(Parallel pool, IndexShape shape, Buffer x, Buffer index, Buffer out) {
    if (shape.outer() * shape.count() * shape.inner() == 0) {
      return;
    }
    int count = Math.toIntExact(shape.count());
    int inner = Math.toIntExact(shape.inner());
    Object source = array(x);
    Object target = array(out);
    int outAt = at(out);
    Positions positions = new Positions(shape, index, at(x));
    pool.range(
        Math.multiplyExact(Math.toIntExact(shape.outer()), count),
        Math.max(1, HeapArrays.GRAIN / inner),
        (from, to) -> {
          int[] at = new int[inner];
          for (int row = from; row < to; row++) {
            int o = row / count;
            int j = row - o * count;
            if (positions.wholeRows()) {
              System.arraycopy(source, positions.at(o, j, 0), target, outAt + row * inner, inner);
            } else {
              for (int i = 0; i < inner; i++) {
                at[i] = positions.at(o, j, i);
              }
              pick(source, at, target, outAt + row * inner);
            }
          }
        });
  }

  private static void pick(Object source, int[] at, Object target, int targetAt) {
    int n = at.length;
    if (source instanceof float[] x && target instanceof float[] y) {
      for (int i = 0; i < n; i++) {
        y[targetAt + i] = x[at[i]];
      }
    } else if (source instanceof double[] x && target instanceof double[] y) {
      for (int i = 0; i < n; i++) {
        y[targetAt + i] = x[at[i]];
      }
    } else if (source instanceof short[] x && target instanceof short[] y) {
      for (int i = 0; i < n; i++) {
        y[targetAt + i] = x[at[i]];
      }
    } else if (source instanceof int[] x && target instanceof int[] y) {
      for (int i = 0; i < n; i++) {
        y[targetAt + i] = x[at[i]];
      }
    } else if (source instanceof long[] x && target instanceof long[] y) {
      for (int i = 0; i < n; i++) {
        y[targetAt + i] = x[at[i]];
      }
    } else if (source instanceof byte[] x && target instanceof byte[] y) {
      for (int i = 0; i < n; i++) {
        y[targetAt + i] = x[at[i]];
      }
    }
  }

  /**
   * Adds in the order of src; threads share the work by outer or inner ranges only, which no two of
   * them write to. The 16-bit floating types add up in float32 and the integers in int64, each
   * element rounded once.
   */
  static void scatterAdd(Parallel pool, IndexShape shape, Buffer src, Buffer index, Buffer x) {
    if (shape.outer() * shape.count() * shape.inner() == 0) {
      return;
    }
    DType dtype = x.dtype();
    int srcAt = at(src);
    int xAt = at(x);
    if (array(src) instanceof float[] s && array(x) instanceof float[] t) {
      Positions to = new Positions(shape, index, xAt);
      scatter(pool, shape, (o, from, end) -> add(to, shape, s, srcAt, t, o, from, end));
    } else if (array(src) instanceof double[] s && array(x) instanceof double[] t) {
      Positions to = new Positions(shape, index, xAt);
      scatter(pool, shape, (o, from, end) -> add(to, shape, s, srcAt, t, o, from, end));
    } else if (dtype.isHalf()) {
      float[] s = Casts.toFloats(pool, src);
      float[] t = Casts.toFloats(pool, x);
      Positions to = new Positions(shape, index, 0);
      scatter(pool, shape, (o, from, end) -> add(to, shape, s, 0, t, o, from, end));
      Casts.fromFloats(pool, t, x);
    } else {
      long[] s = new long[HeapArrays.length(src)];
      long[] t = new long[HeapArrays.length(x)];
      Lanes.read(dtype, array(src), srcAt, 1, s, 0, s.length);
      Lanes.read(dtype, array(x), xAt, 1, t, 0, t.length);
      Positions to = new Positions(shape, index, 0);
      scatter(pool, shape, (o, from, end) -> add(to, shape, s, 0, t, o, from, end));
      Lanes.write(dtype, t, 0, array(x), xAt, t.length);
    }
  }

  /** Adds the part [from, end) of the inner extent for one outer index. */
  @FunctionalInterface
  private interface InnerRange {
    void run(int o, int from, int end);
  }

  private static void scatter(Parallel pool, IndexShape shape, InnerRange body) {
    int inner = Math.toIntExact(shape.inner());
    int outer = Math.toIntExact(shape.outer());
    int work = Math.toIntExact(Math.min(Integer.MAX_VALUE, shape.count() * inner));
    // A range of 16 elements is a cache line: narrower ones would be shared between threads.
    int width = Math.min(inner, Math.max(16, HeapArrays.GRAIN / (int) Math.max(1, shape.count())));
    int ranges = (inner + width - 1) / width;
    pool.range(
        Math.multiplyExact(outer, ranges),
        Math.max(1, HeapArrays.GRAIN / Math.max(1, work / ranges)),
        (first, last) -> {
          for (int unit = first; unit < last; unit++) {
            int from = unit % ranges * width;
            body.run(unit / ranges, from, Math.min(inner, from + width));
          }
        });
  }

  private static void add(
      Positions to, IndexShape shape, float[] s, int srcAt, float[] t, int o, int from, int end) {
    int inner = (int) shape.inner();
    int count = (int) shape.count();
    for (int j = 0; j < count; j++) {
      int row = srcAt + (o * count + j) * inner;
      if (to.wholeRows()) {
        int start = to.at(o, j, 0);
        for (int i = from; i < end; i++) {
          t[start + i] += s[row + i];
        }
      } else {
        for (int i = from; i < end; i++) {
          t[to.at(o, j, i)] += s[row + i];
        }
      }
    }
  }

  private static void add(
      Positions to, IndexShape shape, double[] s, int srcAt, double[] t, int o, int from, int end) {
    int inner = (int) shape.inner();
    int count = (int) shape.count();
    for (int j = 0; j < count; j++) {
      int row = srcAt + (o * count + j) * inner;
      for (int i = from; i < end; i++) {
        t[to.at(o, j, i)] += s[row + i];
      }
    }
  }

  private static void add(
      Positions to, IndexShape shape, long[] s, int srcAt, long[] t, int o, int from, int end) {
    int inner = (int) shape.inner();
    int count = (int) shape.count();
    for (int j = 0; j < count; j++) {
      int row = srcAt + (o * count + j) * inner;
      for (int i = from; i < end; i++) {
        t[to.at(o, j, i)] += s[row + i];
      }
    }
  }

  /** Where the selected elements stand in x. */
  private static final class Positions {
    private final long[] index;
    private final int indexAt;
    private final int xAt;
    private final int size;
    private final int inner;
    private final int so;
    private final int sj;
    private final int si;

    Positions(IndexShape shape, Buffer index, int xAt) {
      this.index = longs(index);
      this.indexAt = HeapArrays.at(index);
      this.xAt = xAt;
      this.size = Math.toIntExact(shape.size());
      this.inner = Math.toIntExact(shape.inner());
      this.so = Math.toIntExact(shape.indexOuter());
      this.sj = Math.toIntExact(shape.indexCount());
      this.si = Math.toIntExact(shape.indexInner());
    }

    /** Whether all of a row has one index. */
    boolean wholeRows() {
      return si == 0;
    }

    int at(int o, int j, int i) {
      int selected = (int) index[indexAt + o * so + j * sj + i * si];
      return xAt + (o * size + selected) * inner + i;
    }
  }
}
