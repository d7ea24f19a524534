package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.backend.Buffer;
import io.gradus.backend.ReduceOp;
import io.gradus.core.DType;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ReductionsTest {
  private static final ReferenceBackend BACKEND = new ReferenceBackend(2);

  /** [outer, n, inner]: empty, single, odd, rows, columns, and large enough to be cut. */
  private static final int[][] SIZES = {
    {0, 3, 2},
    {2, 3, 0},
    {1, 1, 1},
    {5, 7, 1},
    {3, 5, 11},
    {1, 3000, 1},
    {1, 101, 1500},
    {600, 3, 2},
    {1, 40_000, 3},
    {2, 100_001, 1},
    {70, 9, 1025},
    {3000, 13, 1}
  };

  private static double identity(ReduceOp op, DType dtype) {
    return switch (op) {
      case SUM -> 0;
      case PROD -> 1;
      case MAX ->
          switch (dtype) {
            case INT32 -> Integer.MIN_VALUE;
            case INT64 -> Long.MIN_VALUE;
            case UINT8, BOOL -> 0;
            default -> Double.NEGATIVE_INFINITY;
          };
      case MIN ->
          switch (dtype) {
            case INT32 -> Integer.MAX_VALUE;
            case INT64 -> Long.MAX_VALUE;
            case UINT8 -> 255;
            case BOOL -> 1;
            default -> Double.POSITIVE_INFINITY;
          };
    };
  }

  private static double[] naive(ReduceOp op, DType dtype, double[] x, int[] size) {
    int n = size[1];
    int inner = size[2];
    double[] out = new double[size[0] * inner];
    for (int o = 0; o < size[0]; o++) {
      for (int j = 0; j < inner; j++) {
        double acc = identity(op, dtype);
        for (int i = 0; i < n; i++) {
          double v = x[(o * n + i) * inner + j];
          acc =
              switch (op) {
                case SUM -> acc + v;
                case PROD -> acc * v;
                case MAX -> Math.max(acc, v);
                case MIN -> Math.min(acc, v);
              };
        }
        out[o * inner + j] = Naive.as(dtype, acc);
      }
    }
    return out;
  }

  @ParameterizedTest
  @EnumSource
  void reducesEveryTypeAsPlainLoopsDo(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (ReduceOp op : ReduceOp.values()) {
      for (int[] size : SIZES) {
        // Products of 1 and -1 stay exact; small integers keep every sum exact.
        double[] x =
            Naive.random(
                size[0] * size[1] * size[2],
                () ->
                    op != ReduceOp.PROD
                        ? Naive.small(random, dtype)
                        : dtype == DType.UINT8 || dtype == DType.BOOL || random.nextBoolean()
                            ? 1
                            : -1);
        Buffer in = Naive.buffer(BACKEND, dtype, x);
        Buffer out = Naive.empty(BACKEND, dtype, (long) size[0] * size[2]);
        BACKEND.reduce(op, in, out, size[0], size[1], size[2]);
        assertArrayEquals(
            naive(op, dtype, x, size),
            Naive.values(BACKEND, out),
            () -> op + " " + java.util.Arrays.toString(size));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void nothingReducesToTheIdentity(DType dtype) {
    for (ReduceOp op : ReduceOp.values()) {
      Buffer out = Naive.empty(BACKEND, dtype, 6);
      BACKEND.reduce(op, Naive.empty(BACKEND, dtype, 0), out, 2, 0, 3);
      for (double value : Naive.values(BACKEND, out)) {
        assertEquals(identity(op, dtype), value);
      }
    }
  }

  @Test
  void nanReachesMaximumAndMinimum() {
    for (DType dtype : new DType[] {DType.FLOAT32, DType.FLOAT64, DType.BFLOAT16}) {
      Buffer rows = Naive.buffer(BACKEND, dtype, 1, Double.NaN, 3, 4, 5, 6);
      Buffer out = Naive.empty(BACKEND, dtype, 2);
      BACKEND.reduce(ReduceOp.MAX, rows, out, 2, 3, 1);
      assertArrayEquals(new double[] {Double.NaN, 6}, Naive.values(BACKEND, out));
      BACKEND.reduce(ReduceOp.MIN, rows, out, 1, 3, 2);
      assertArrayEquals(new double[] {1, Double.NaN}, Naive.values(BACKEND, out));
    }
  }

  @Test
  void floatSumsAccumulateInFloat64() {
    int n = 1 << 20;
    double[] x = new double[n];
    java.util.Arrays.fill(x, 0.1f);
    x[0] = 1 << 24;
    Buffer in = Naive.buffer(BACKEND, DType.FLOAT32, x);
    Buffer out = Naive.empty(BACKEND, DType.FLOAT32, 1);
    BACKEND.reduce(ReduceOp.SUM, in, out, 1, n, 1);
    float expected = (float) ((1 << 24) + (n - 1) * (double) 0.1f);
    assertEquals(expected, Naive.values(BACKEND, out)[0]);
  }

  @ParameterizedTest
  @EnumSource
  void argReduceFindsTheFirstExtreme(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (int[] size : SIZES) {
      double[] x = Naive.random(size[0] * size[1] * size[2], () -> Naive.small(random, dtype));
      Buffer in = Naive.buffer(BACKEND, dtype, x);
      Buffer out = Naive.empty(BACKEND, DType.INT64, (long) size[0] * size[2]);
      for (boolean max : new boolean[] {true, false}) {
        double[] expected = new double[size[0] * size[2]];
        for (int u = 0; u < expected.length; u++) {
          int base = u / size[2] * size[1] * size[2] + u % size[2];
          int best = 0;
          for (int i = 1; i < size[1]; i++) {
            double gain = x[base + i * size[2]] - x[base + best * size[2]];
            if (max ? gain > 0 : gain < 0) {
              best = i;
            }
          }
          expected[u] = best;
        }
        BACKEND.argReduce(max, in, out, size[0], size[1], size[2]);
        assertArrayEquals(expected, Naive.values(BACKEND, out));
      }
    }
  }

  @Test
  void argReduceTakesTheFirstNan() {
    for (DType dtype : new DType[] {DType.FLOAT32, DType.FLOAT64, DType.FLOAT16}) {
      Buffer in = Naive.buffer(BACKEND, dtype, 9, Double.NaN, 3, Double.NaN, 5, 6);
      Buffer out = Naive.empty(BACKEND, DType.INT64, 2);
      for (boolean max : new boolean[] {true, false}) {
        BACKEND.argReduce(max, in.slice(0, 4), out.slice(0, 1), 1, 4, 1);
        assertEquals(1, Naive.values(BACKEND, out)[0]);
        BACKEND.argReduce(max, in, out, 1, 3, 2);
        assertArrayEquals(new double[] {max ? 0 : 1, 0}, Naive.values(BACKEND, out));
      }
    }
  }

  @Test
  void argReduceComparesLongsExactly() {
    Buffer in = Naive.empty(BACKEND, DType.INT64, 2);
    BACKEND.upload(new long[] {1L << 53, (1L << 53) + 1}, 0, in);
    Buffer out = Naive.empty(BACKEND, DType.INT64, 1);
    BACKEND.argReduce(true, in, out, 1, 2, 1);
    assertEquals(1, Naive.values(BACKEND, out)[0]);
  }
}
