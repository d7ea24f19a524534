package io.gradus.benchmarks.libraries;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** What a BLAS computes of our row-major operands is our row-major product. */
class ColumnMajorTest {
  private static final int M = 3;
  private static final int N = 5;
  private static final int K = 4;

  private static double[] random(int seed, int n) {
    return new Random(seed).doubles(n, -1, 1).toArray();
  }

  /** C = op(A) op(B) of row-major matrices, by definition. */
  private static double[] rowMajor(double[] a, double[] b, boolean transA, boolean transB) {
    double[] c = new double[M * N];
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < N; j++) {
        for (int p = 0; p < K; p++) {
          double left = transA ? a[p * M + i] : a[i * K + p];
          double right = transB ? b[j * K + p] : b[p * N + j];
          c[i * N + j] += left * right;
        }
      }
    }
    return c;
  }

  /** What BLAS is documented to compute: all three matrices lie column by column. */
  private static double[] gemm(ColumnMajor product, double[] first, double[] second) {
    int m = (int) product.m();
    int n = (int) product.n();
    double[] result = new double[m * n];
    for (int column = 0; column < n; column++) {
      for (int row = 0; row < m; row++) {
        double sum = 0;
        for (int p = 0; p < product.k(); p++) {
          sum += at(product.first(), first, row, p) * at(product.second(), second, p, column);
        }
        result[column * m + row] = sum;
      }
    }
    return result;
  }

  private static double at(ColumnMajor.Operand operand, double[] values, int row, int column) {
    int r = operand.transposed() ? column : row;
    int c = operand.transposed() ? row : column;
    return values[c * (int) operand.rows() + r];
  }

  @Test
  void everyTransposeGivesTheRowMajorProduct() {
    double[] a = random(1, M * K);
    double[] b = random(2, K * N);
    for (boolean transA : new boolean[] {false, true}) {
      for (boolean transB : new boolean[] {false, true}) {
        ColumnMajor product = ColumnMajor.of(M, N, K, transA, transB);
        assertArrayEquals(
            rowMajor(a, b, transA, transB), gemm(product, b, a), 1e-12, product.toString());
      }
    }
  }

  @Test
  void operandsAreDenseAndFit() {
    for (boolean transA : new boolean[] {false, true}) {
      for (boolean transB : new boolean[] {false, true}) {
        ColumnMajor product = ColumnMajor.of(M, N, K, transA, transB);
        assertEquals(K * N, product.first().rows() * product.first().columns());
        assertEquals(M * K, product.second().rows() * product.second().columns());
        ColumnMajor.Operand first = product.first();
        assertEquals(product.m(), first.transposed() ? first.columns() : first.rows());
        ColumnMajor.Operand second = product.second();
        assertEquals(product.n(), second.transposed() ? second.rows() : second.columns());
      }
    }
  }

  @Test
  void aBiasOfOurColumnsIsOneOfTheRowsThatBlasSees() {
    // y [rows, outputs] = x [rows, inputs] w^T, with w [outputs, inputs].
    assertEquals(N, ColumnMajor.of(M, N, K, false, true).m());
  }
}
