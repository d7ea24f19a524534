package io.gradus.backend.reference;

import java.util.Arrays;

/**
 * The float64 matrix product: the same idea as {@link Sgemm}, long rows of separate arrays at one
 * index, with less effort. Chunks are fixed blocks of rows and columns; every element is summed
 * over k in rising order by one thread.
 */
final class Dgemm {
  private static final int WIDTH = 256;
  private static final int DEPTH = 96;
  private static final int ROWS = 96;
  private static final long SMALL = 4096;

  private Dgemm() {}

  /**
   * Computes {@code C = op(A) op(B)}, or adds the product to C if {@code accumulate}; the arguments
   * are those of {@link Sgemm#gemm}.
   */
  static void gemm(
      Parallel pool,
      boolean transA,
      boolean transB,
      int m,
      int n,
      int k,
      double[] a,
      int aOff,
      int lda,
      double[] b,
      int bOff,
      int ldb,
      double[] c,
      int cOff,
      int ldc,
      boolean accumulate) {
    int aRow = transA ? 1 : lda;
    int aCol = transA ? lda : 1;
    int bRow = transB ? 1 : ldb;
    int bCol = transB ? ldb : 1;
    if (m <= 0 || n <= 0) {
      return;
    }
    if ((long) m * n * Math.max(k, 0) <= SMALL || n < 8) {
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          double sum = accumulate ? c[cOff + i * ldc + j] : 0;
          for (int p = 0; p < k; p++) {
            sum = Fma.fma(a[aOff + i * aRow + p * aCol], b[bOff + p * bRow + j * bCol], sum);
          }
          c[cOff + i * ldc + j] = sum;
        }
      }
      return;
    }
    int down = (m + ROWS - 1) / ROWS;
    int across = (n + WIDTH - 1) / WIDTH;
    pool.run(
        down * across,
        t -> {
          int i0 = t % down * ROWS;
          int j0 = t / down * WIDTH;
          int rows = Math.min(ROWS, m - i0);
          int nb = Math.min(WIDTH, n - j0);
          double[][] acc = new double[rows + 2][nb];
          double[][] panel = new double[Math.min(DEPTH, k + 2)][nb];
          for (int i = 0; i < rows && accumulate; i++) {
            System.arraycopy(c, cOff + (i0 + i) * ldc + j0, acc[i], 0, nb);
          }
          for (int k0 = 0; k0 < k; k0 += DEPTH) {
            int kc = Math.min(DEPTH, k - k0);
            fill(panel, b, bOff + k0 * bRow + j0 * bCol, bRow, bCol, kc, nb);
            multiply(acc, panel, rows, kc, a, aOff + i0 * aRow + k0 * aCol, aRow, aCol, nb);
          }
          for (int i = 0; i < rows; i++) {
            System.arraycopy(acc[i], 0, c, cOff + (i0 + i) * ldc + j0, nb);
          }
        });
  }

  /** Copies a block of op(B) to panel rows and clears rows up to a multiple of three. */
  private static void fill(
      double[][] panel, double[] b, int at, int bRow, int bCol, int kc, int nb) {
    for (int p = 0; p < kc; p++) {
      double[] row = panel[p];
      int from = at + p * bRow;
      if (bCol == 1) {
        System.arraycopy(b, from, row, 0, nb);
      } else {
        for (int j = 0; j < nb; j++) {
          row[j] = b[from + j * bCol];
        }
      }
    }
    for (int p = kc; p < (kc + 2) / 3 * 3; p++) {
      Arrays.fill(panel[p], 0);
    }
  }

  private static void multiply(
      double[][] c,
      double[][] b,
      int rows,
      int kc,
      double[] a,
      int at,
      int aRow,
      int aCol,
      int nb) {
    double[] w = new double[9];
    // The spare rows at the end of c take the results of rows that are not there.
    for (int i = 0; i < rows; i += 3) {
      for (int p = 0; p < kc; p += 3) {
        for (int e = 0; e < 9; e++) {
          boolean there = i + e / 3 < rows && p + e % 3 < kc;
          w[e] = there ? a[at + (i + e / 3) * aRow + (p + e % 3) * aCol] : 0;
        }
        update(c[i], c[i + 1], c[i + 2], b[p], b[p + 1], b[p + 2], w, nb);
      }
    }
  }

  private static void update(
      double[] c0,
      double[] c1,
      double[] c2,
      double[] b0,
      double[] b1,
      double[] b2,
      double[] a,
      int n) {
    double a00 = a[0];
    double a01 = a[1];
    double a02 = a[2];
    double a10 = a[3];
    double a11 = a[4];
    double a12 = a[5];
    double a20 = a[6];
    double a21 = a[7];
    double a22 = a[8];
    for (int j = 0; j < n; j++) {
      double v0 = b0[j];
      double v1 = b1[j];
      double v2 = b2[j];
      double w0 = Fma.fma(a02, v2, Fma.fma(a01, v1, Fma.fma(a00, v0, c0[j])));
      double w1 = Fma.fma(a12, v2, Fma.fma(a11, v1, Fma.fma(a10, v0, c1[j])));
      double w2 = Fma.fma(a22, v2, Fma.fma(a21, v1, Fma.fma(a20, v0, c2[j])));
      c0[j] = w0;
      c1[j] = w1;
      c2[j] = w2;
    }
  }
}
