package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.gradus.backend.Buffer;
import io.gradus.backend.IndexShape;
import io.gradus.backend.MatmulShape;
import io.gradus.core.DType;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MatmulAndIndexingTest {
  private static final ReferenceBackend BACKEND = new ReferenceBackend(2);

  /** [batch, m, n, k]. */
  private static final int[][] PRODUCTS = {
    {1, 1, 1, 1},
    {1, 5, 7, 3},
    {3, 4, 2, 9},
    {2, 17, 33, 20},
    {1, 0, 3, 2},
    {2, 3, 4, 0},
    {0, 2, 2, 2},
    {1, 70, 65, 130},
    {40, 3, 3, 3}
  };

  @ParameterizedTest
  @EnumSource
  void matmulOfAllTransposesAndBatches(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (int[] p : PRODUCTS) {
      for (int variant = 0; variant < 32; variant++) {
        boolean transA = (variant & 1) != 0;
        boolean transB = (variant & 2) != 0;
        boolean accumulate = (variant & 4) != 0;
        int m = p[1];
        int n = p[2];
        int k = p[3];
        int strideA = (variant & 8) != 0 ? 0 : m * k;
        int strideB = (variant & 16) != 0 ? 0 : k * n;
        double[] a =
            Naive.random(strideA == 0 ? m * k : p[0] * m * k, () -> Naive.small(random, dtype));
        double[] b =
            Naive.random(strideB == 0 ? k * n : p[0] * k * n, () -> Naive.small(random, dtype));
        double[] c = Naive.random(p[0] * m * n, () -> Naive.small(random, dtype));
        Buffer out = Naive.buffer(BACKEND, dtype, c);
        for (int u = 0; u < c.length; u++) {
          int batch = u / (m * n);
          int i = u / n % m;
          int j = u % n;
          double sum = accumulate ? c[u] : 0;
          for (int q = 0; q < k; q++) {
            sum +=
                a[batch * strideA + (transA ? q * m + i : i * k + q)]
                    * b[batch * strideB + (transB ? j * k + q : q * n + j)];
          }
          c[u] = Naive.as(dtype, sum);
        }
        BACKEND.matmul(
            new MatmulShape(p[0], m, n, k, transA, transB, strideA, strideB, accumulate),
            Naive.buffer(BACKEND, dtype, a),
            Naive.buffer(BACKEND, dtype, b),
            out);
        assertArrayEquals(c, Naive.values(BACKEND, out), () -> java.util.Arrays.toString(p));
      }
    }
  }

  /** [outer, size, count, inner]. */
  private static final int[][] SELECTIONS = {
    {1, 5, 9, 1},
    {3, 4, 6, 5},
    {1, 10, 300, 40},
    {0, 3, 2, 2},
    {2, 3, 0, 4},
    {2, 3, 5, 0},
    {200, 3, 7, 1},
    {2, 50, 400, 100}
  };

  private static IndexShape shape(int[] s, int kind) {
    return switch (kind) {
      case 0 -> IndexShape.rows(s[0], s[1], s[2], s[3]);
      case 1 -> IndexShape.elements(s[0], s[1], s[2], s[3]);
      default -> new IndexShape(s[0], s[1], s[2], s[3], s[2], 1, 0);
    };
  }

  private static int indices(int[] s, int kind) {
    return kind == 0 ? s[2] : kind == 1 ? s[0] * s[2] * s[3] : s[0] * s[2];
  }

  private static int source(int[] s, IndexShape shape, double[] index, int u) {
    int o = u / (s[2] * s[3]);
    int j = u / s[3] % s[2];
    int i = u % s[3];
    long at = o * shape.indexOuter() + j * shape.indexCount() + i * shape.indexInner();
    return (o * s[1] + (int) index[(int) at]) * s[3] + i;
  }

  @ParameterizedTest
  @EnumSource
  void gatherReadsRowsAndElements(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (int[] s : SELECTIONS) {
      for (int kind = 0; kind < 3; kind++) {
        IndexShape shape = shape(s, kind);
        double[] x = Naive.random(s[0] * s[1] * s[3], () -> Naive.small(random, dtype));
        double[] index = Naive.random(indices(s, kind), () -> random.nextInt(s[1]));
        double[] expected = new double[s[0] * s[2] * s[3]];
        for (int u = 0; u < expected.length; u++) {
          expected[u] = x[source(s, shape, index, u)];
        }
        Buffer out = Naive.empty(BACKEND, dtype, expected.length);
        BACKEND.gather(
            shape, Naive.buffer(BACKEND, dtype, x), Naive.buffer(BACKEND, DType.INT64, index), out);
        assertArrayEquals(expected, Naive.values(BACKEND, out));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void scatterAddAddsRowsAndElements(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (int[] s : SELECTIONS) {
      for (int kind = 0; kind < 3; kind++) {
        IndexShape shape = shape(s, kind);
        double[] x = Naive.random(s[0] * s[1] * s[3], () -> Naive.small(random, dtype));
        double[] index = Naive.random(indices(s, kind), () -> random.nextInt(s[1]));
        double[] src = Naive.random(s[0] * s[2] * s[3], () -> Naive.small(random, dtype));
        Buffer out = Naive.buffer(BACKEND, dtype, x);
        for (int u = 0; u < src.length; u++) {
          x[source(s, shape, index, u)] += src[u];
        }
        for (int i = 0; i < x.length; i++) {
          x[i] = Naive.as(dtype, x[i]);
        }
        BACKEND.scatterAdd(
            shape,
            Naive.buffer(BACKEND, dtype, src),
            Naive.buffer(BACKEND, DType.INT64, index),
            out);
        assertArrayEquals(x, Naive.values(BACKEND, out));
      }
    }
  }
}
