package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.backend.ReduceOp;
import io.gradus.core.DType;
import java.util.Arrays;

/**
 * Reductions of the middle axis of [outer, n, inner]. Floating types accumulate in float64,
 * integers in int64. The result is cut into units of about {@link #UNIT} elements; where there are
 * few units the axis is cut as well, and the parts are combined in order. All borders follow from
 * the sizes, so the order of every sum does.
 */
final class Reductions {
  private static final int UNIT = 1024;
  private static final int PART = 1 << 15;

  /** With at least this many units, there is work for all threads without cutting the axis. */
  private static final int ENOUGH_UNITS = 64;

  private final ReduceOp op;
  private final Object x;
  private final int xAt;
  private final int n;
  private final int inner;
  private final DType dtype;

  private Reductions(ReduceOp op, Buffer x, int n, int inner) {
    this.op = op;
    this.x = array(x);
    this.xAt = at(x);
    this.n = n;
    this.inner = inner;
    this.dtype = x.dtype();
  }

  static void reduce(
      Parallel pool, ReduceOp op, Buffer x, Buffer out, long outer, long n, long inner) {
    if (outer * inner == 0) {
      return;
    }
    new Reductions(op, x, Math.toIntExact(n), Math.toIntExact(inner))
        .run(pool, Math.toIntExact(outer), out);
  }

  private void run(Parallel pool, int outer, Buffer out) {
    int group = Math.max(1, UNIT / inner);
    int width = Math.min(inner, UNIT);
    int columns = (inner + width - 1) / width;
    int groups = (outer + group - 1) / group;
    int units = Math.multiplyExact(groups, columns);
    long unitWork = Math.max(1, (long) Math.min(group, outer) * width * n);
    int parts =
        units >= ENOUGH_UNITS ? 1 : (int) Math.min(Math.max(n, 1), (unitWork + PART - 1) / PART);
    int partLength = (n + parts - 1) / parts;
    Object target = array(out);
    int targetAt = at(out);
    if (parts == 1) {
      pool.range(
          units,
          Math.max(1, HeapArrays.GRAIN / unitWork),
          (from, to) -> {
            Accumulator acc = accumulator();
            for (int unit = from; unit < to; unit++) {
              int o = unit / columns * group;
              int j = unit % columns * width;
              int count = Math.min(group, outer - o);
              int w = Math.min(width, inner - j);
              acc.reduce(o, count, 0, n, j, w);
              acc.store(target, targetAt + o * inner + j, count * w);
            }
          });
      return;
    }
    Accumulator[] partial = new Accumulator[units * parts];
    pool.run(
        partial.length,
        chunk -> {
          int unit = chunk / parts;
          int part = chunk % parts;
          int o = unit / columns * group;
          int j = unit % columns * width;
          Accumulator acc = accumulator();
          acc.reduce(
              o,
              Math.min(group, outer - o),
              Math.min(n, part * partLength),
              Math.min(n, (part + 1) * partLength),
              j,
              Math.min(width, inner - j));
          partial[chunk] = acc;
        });
    for (int unit = 0; unit < units; unit++) {
      int o = unit / columns * group;
      int j = unit % columns * width;
      int size = Math.min(group, outer - o) * Math.min(width, inner - j);
      Accumulator acc = partial[unit * parts];
      for (int part = 1; part < parts; part++) {
        acc.combine(partial[unit * parts + part], size);
      }
      acc.store(target, targetAt + o * inner + j, size);
    }
  }

  private Accumulator accumulator() {
    return dtype.isFloating() ? new Doubles() : new Longs();
  }

  private static BinaryOp combining(ReduceOp op) {
    return switch (op) {
      case SUM -> BinaryOp.ADD;
      case PROD -> BinaryOp.MUL;
      case MAX -> BinaryOp.MAX;
      case MIN -> BinaryOp.MIN;
    };
  }

  /** The running results of one unit: [count, width] of them. */
  private abstract static class Accumulator {
    /** Reduces x[o .. o + count, from .. to, j .. j + width] from the identity on. */
    abstract void reduce(int o, int count, int from, int to, int j, int width);

    /** Takes in the results of the part that follows. */
    abstract void combine(Accumulator next, int size);

    abstract void store(Object target, int at, int size);
  }

  private final class Doubles extends Accumulator {
    private final double[] acc = new double[UNIT];
    private final double[] lane = new double[UNIT];

    @Override
    void reduce(int o, int count, int from, int to, int j, int width) {
      Arrays.fill(acc, 0, count * width, identity());
      for (int k = 0; k < count; k++) {
        int start = xAt + ((o + k) * n + from) * inner + j;
        if (inner == 1) {
          acc[k] =
              x instanceof float[] floats ? row(floats, start, to - from) : row(start, to - from);
        } else if (x instanceof float[] floats && op == ReduceOp.SUM) {
          FloatSums.columns(floats, start, inner, to - from, acc, k * width, width);
        } else {
          for (int i = 0; i < to - from; i++) {
            Lanes.read(dtype, x, start + i * inner, 1, lane, 0, width);
            merge(acc, k * width, lane, width);
          }
        }
      }
    }

    private double identity() {
      return switch (op) {
        case SUM -> 0;
        case PROD -> 1;
        case MAX -> Double.NEGATIVE_INFINITY;
        case MIN -> Double.POSITIVE_INFINITY;
      };
    }

    private double row(float[] floats, int start, int length) {
      return switch (op) {
        case SUM -> FloatSums.row(floats, start, length);
        case MAX -> FloatExtremes.rowMax(floats, start, length);
        case MIN -> FloatExtremes.rowMin(floats, start, length);
        case PROD -> row(start, length);
      };
    }

    private double row(int start, int length) {
      double result = identity();
      for (int done = 0; done < length; done += UNIT) {
        int count = Math.min(UNIT, length - done);
        Lanes.read(dtype, x, start + done, 1, lane, 0, count);
        switch (op) {
          case SUM -> {
            for (int i = 0; i < count; i++) {
              result += lane[i];
            }
          }
          case PROD -> {
            for (int i = 0; i < count; i++) {
              result *= lane[i];
            }
          }
          case MAX -> {
            for (int i = 0; i < count; i++) {
              result = Math.max(result, lane[i]);
            }
          }
          case MIN -> {
            for (int i = 0; i < count; i++) {
              result = Math.min(result, lane[i]);
            }
          }
        }
      }
      return result;
    }

    private void merge(double[] into, int at, double[] values, int size) {
      switch (op) {
        case SUM -> {
          for (int i = 0; i < size; i++) {
            into[at + i] += values[i];
          }
        }
        case PROD -> {
          for (int i = 0; i < size; i++) {
            into[at + i] *= values[i];
          }
        }
        case MAX -> {
          for (int i = 0; i < size; i++) {
            into[at + i] = Math.max(into[at + i], values[i]);
          }
        }
        case MIN -> {
          for (int i = 0; i < size; i++) {
            into[at + i] = Math.min(into[at + i], values[i]);
          }
        }
      }
    }

    @Override
    void combine(Accumulator next, int size) {
      merge(acc, 0, ((Doubles) next).acc, size);
    }

    @Override
    void store(Object target, int at, int size) {
      Lanes.write(dtype, acc, 0, target, at, size);
    }
  }

  private final class Longs extends Accumulator {
    private final long[] acc = new long[UNIT];
    private final long[] lane = new long[UNIT];

    @Override
    void reduce(int o, int count, int from, int to, int j, int width) {
      Arrays.fill(acc, 0, count * width, identity());
      var f = combining(op).onLong();
      for (int k = 0; k < count; k++) {
        int start = xAt + ((o + k) * n + from) * inner + j;
        if (inner == 1) {
          for (int done = 0; done < to - from; done += UNIT) {
            int length = Math.min(UNIT, to - from - done);
            Lanes.read(dtype, x, start + done, 1, lane, 0, length);
            for (int i = 0; i < length; i++) {
              acc[k] = f.applyAsLong(acc[k], lane[i]);
            }
          }
        } else {
          for (int i = 0; i < to - from; i++) {
            Lanes.read(dtype, x, start + i * inner, 1, lane, 0, width);
            for (int c = 0; c < width; c++) {
              acc[k * width + c] = f.applyAsLong(acc[k * width + c], lane[c]);
            }
          }
        }
      }
    }

    private long identity() {
      return switch (op) {
        case SUM -> 0;
        case PROD -> 1;
        case MAX -> least();
        case MIN -> greatest();
      };
    }

    private long least() {
      return switch (dtype) {
        case INT32 -> Integer.MIN_VALUE;
        case INT64 -> Long.MIN_VALUE;
        default -> 0;
      };
    }

    private long greatest() {
      return switch (dtype) {
        case INT32 -> Integer.MAX_VALUE;
        case INT64 -> Long.MAX_VALUE;
        case UINT8 -> 255;
        default -> 1;
      };
    }

    @Override
    void combine(Accumulator next, int size) {
      var f = combining(op).onLong();
      long[] other = ((Longs) next).acc;
      for (int i = 0; i < size; i++) {
        acc[i] = f.applyAsLong(acc[i], other[i]);
      }
    }

    @Override
    void store(Object target, int at, int size) {
      Lanes.write(dtype, acc, 0, target, at, size);
    }
  }
}
