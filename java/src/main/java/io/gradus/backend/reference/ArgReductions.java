package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.longs;

import io.gradus.backend.Buffer;
import io.gradus.core.DType;

/** Positions of extremes along the middle axis of [outer, n, inner]. */
final class ArgReductions {
  private static final int WIDTH = 256;

  private ArgReductions() {}

  static void argReduce(
      Parallel pool, boolean max, Buffer x, Buffer index, long outer, long n, long inner) {
    if (outer * inner == 0) {
      return;
    }
    int length = Math.toIntExact(n);
    int in = Math.toIntExact(inner);
    int columns = (in + WIDTH - 1) / WIDTH;
    DType dtype = x.dtype();
    Object source = array(x);
    int xAt = at(x);
    long[] out = longs(index);
    int outAt = at(index);
    long work = Math.max(1, n * Math.min(inner, WIDTH));
    pool.range(
        outer * columns,
        Math.max(1, HeapArrays.GRAIN / work),
        (from, to) -> {
          Lane lane = new Lane(max, dtype, source);
          for (int unit = from; unit < to; unit++) {
            int o = unit / columns;
            int j = unit % columns * WIDTH;
            int width = Math.min(WIDTH, in - j);
            lane.scan(xAt + o * length * in + j, length, in, width, out, outAt + o * in + j);
          }
        });
  }

  /** Scans units of up to {@link #WIDTH} neighbouring columns. */
  private static final class Lane {
    private final boolean max;
    private final DType dtype;
    private final Object x;
    private final double[] doubles = new double[WIDTH];
    private final double[] bestDouble = new double[WIDTH];
    private final long[] values = new long[WIDTH];
    private final long[] bestLong = new long[WIDTH];

    Lane(boolean max, DType dtype, Object x) {
      this.max = max;
      this.dtype = dtype;
      this.x = x;
    }

    void scan(int start, int n, int stride, int width, long[] out, int outAt) {
      if (width == 1 && stride == 1) {
        scanRow(start, n, out, outAt);
        return;
      }
      for (int i = 0; i < n; i++) {
        if (dtype.isFloating()) {
          Lanes.read(dtype, x, start + i * stride, 1, doubles, 0, width);
          for (int j = 0; j < width; j++) {
            if (i == 0 || beats(doubles[j], bestDouble[j])) {
              bestDouble[j] = doubles[j];
              out[outAt + j] = i;
            }
          }
        } else {
          Lanes.read(dtype, x, start + i * stride, 1, values, 0, width);
          for (int j = 0; j < width; j++) {
            if (i == 0 || beats(values[j], bestLong[j])) {
              bestLong[j] = values[j];
              out[outAt + j] = i;
            }
          }
        }
      }
    }

    private void scanRow(int start, int n, long[] out, int outAt) {
      for (int done = 0; done < n; done += WIDTH) {
        int count = Math.min(WIDTH, n - done);
        if (dtype.isFloating()) {
          Lanes.read(dtype, x, start + done, 1, doubles, 0, count);
          for (int i = 0; i < count; i++) {
            if (done + i == 0 || beats(doubles[i], bestDouble[0])) {
              bestDouble[0] = doubles[i];
              out[outAt] = (long) done + i;
            }
          }
        } else {
          Lanes.read(dtype, x, start + done, 1, values, 0, count);
          for (int i = 0; i < count; i++) {
            if (done + i == 0 || beats(values[i], bestLong[0])) {
              bestLong[0] = values[i];
              out[outAt] = (long) done + i;
            }
          }
        }
      }
    }

    private boolean beats(double value, double best) {
      if (Double.isNaN(best)) {
        return false;
      }
      return Double.isNaN(value) || (max ? value > best : value < best);
    }

    private boolean beats(long value, long best) {
      return max ? value > best : value < best;
    }
  }
}
