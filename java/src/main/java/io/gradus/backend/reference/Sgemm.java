package io.gradus.backend.reference;

import java.util.Arrays;

/**
 * The float32 matrix product on row-major arrays.
 *
 * <p>The work is cut by the sizes of the operands alone: into panels of columns, then blocks of
 * rows, and for small results of long sums into blocks of k whose partial results are added in
 * rising order. A result is therefore the same for any number of threads. When the result is tall
 * and narrow its transpose is computed, because the engine wants long rows.
 */
final class Sgemm {
  /** Products with at most this many multiply-adds are not worth packing. */
  private static final long SMALL = 4096;

  /** Multiply-adds worth a chunk of their own. */
  private static final long CHUNK_WORK = 400_000;

  /** Chunks aimed at where one panel of columns is all there is. */
  private static final int CHUNKS = 8;

  /** Fewest k of one block when the sum is split. */
  private static final int SPLIT_DEPTH = 2 * PanelGemm.DEPTH;

  /** Most floats of all partial results together. */
  private static final long SPLIT_FLOATS = 1 << 22;

  private Sgemm() {}

  /**
   * Computes {@code C = op(A) op(B)}, or adds the product to C if {@code accumulate}.
   *
   * <p>op(A) is {@code [m, k]}, op(B) is {@code [k, n]} and C is {@code [m, n]}. A is stored as
   * {@code [m, k]}, or as {@code [k, m]} if {@code transA}; B as {@code [k, n]}, or as {@code [n,
   * k]} if {@code transB}; each with the given offset and row pitch. C must not overlap A or B.
   */
  static void gemm(
      Parallel pool,
      boolean transA,
      boolean transB,
      int m,
      int n,
      int k,
      float[] a,
      int aOff,
      int lda,
      float[] b,
      int bOff,
      int ldb,
      float[] c,
      int cOff,
      int ldc,
      boolean accumulate) {
    if (m <= 0 || n <= 0) {
      return;
    }
    if (k <= 0) {
      for (int i = 0; i < m && !accumulate; i++) {
        Arrays.fill(c, cOff + i * ldc, cOff + i * ldc + n, 0f);
      }
      return;
    }
    Product p = new Product();
    p.a = a;
    p.aOff = aOff;
    p.aRow = transA ? 1 : lda;
    p.aCol = transA ? lda : 1;
    p.b = b;
    p.bOff = bOff;
    p.bRow = transB ? 1 : ldb;
    p.bCol = transB ? ldb : 1;
    p.c = c;
    p.cOff = cOff;
    p.cRow = ldc;
    p.cCol = 1;
    p.m = m;
    p.n = n;
    p.k = k;
    p.accumulate = accumulate;
    if ((long) m * n * k <= SMALL) {
      p.small();
      return;
    }
    if (n < 192 && m >= 2 * n) {
      p.swap();
    }
    if (p.m == 1 && p.bRow == 1) {
      p.dots(pool);
    } else {
      p.run(pool);
    }
  }

  /** One product; strides make the transposed forms alike. */
  private static final class Product {
    private static final float[] NONE = {};

    float[] a = NONE;
    float[] b = NONE;
    float[] c = NONE;
    int aOff;
    int aRow;
    int aCol;
    int bOff;
    int bRow;
    int bCol;
    int cOff;
    int cRow;
    int cCol;
    int m;
    int n;
    int k;
    boolean accumulate;

    /** Turns this into the product of the transposes. */
    void swap() {
      float[] t = a;
      a = b;
      b = t;
      int s = aOff;
      aOff = bOff;
      bOff = s;
      s = aRow;
      aRow = bCol;
      bCol = s;
      s = aCol;
      aCol = bRow;
      bRow = s;
      s = cRow;
      cRow = cCol;
      cCol = s;
      s = m;
      m = n;
      n = s;
    }

    void small() {
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          int x = aOff + i * aRow;
          int y = bOff + j * bCol;
          int z = cOff + i * cRow + j * cCol;
          float sum = accumulate ? c[z] : 0f;
          for (int p = 0; p < k; p++) {
            sum = Fma.fma(a[x], b[y], sum);
            x += aCol;
            y += bRow;
          }
          c[z] = sum;
        }
      }
    }

    /** Matrix-vector product ({@code m == 1}) by the rows of the stored matrix. */
    void dots(Parallel pool) {
      float[] x = new float[k];
      for (int p = 0; p < k; p++) {
        x[p] = a[aOff + p * aCol];
      }
      pool.range(
          n,
          Math.max(1, CHUNK_WORK / 8 / k),
          (from, to) -> {
            for (int j = from; j < to; j++) {
              int z = cOff + j * cCol;
              float sum = dot(x, b, bOff + j * bCol, k);
              c[z] = accumulate ? c[z] + sum : sum;
            }
          });
    }

    void run(Parallel pool) {
      int panels = (n + PanelGemm.WIDTH - 1) / PanelGemm.WIDTH;
      int width = ((n + panels - 1) / panels + 7) / 8 * 8;
      int columns = (n + width - 1) / width;
      long work = (long) m * n * k;
      int want = (int) Math.min(CHUNKS, work / CHUNK_WORK);
      int split = 1;
      int most = PanelGemm.MAX_ROWS;
      if (columns < want) {
        int bySum = Math.min(CHUNKS / columns, k / SPLIT_DEPTH);
        boolean fits = (long) m * n * bySum <= SPLIT_FLOATS;
        // A block of rows packs the panel anew: cheap by copying rows, dear by transposing.
        int least = bCol == 1 ? 24 : 96;
        if (fits && bySum > 1 && (k >= 4 * Math.min(m, n) || m < 2 * least)) {
          split = bySum;
        } else {
          int parts = (want + columns - 1) / columns;
          most = Math.min(most, Math.max(least, (m + parts - 1) / parts));
        }
      }
      int blocks = (m + most - 1) / most;
      int height = (m + blocks - 1) / blocks;
      if (split == 1) {
        pool.run(
            columns * blocks,
            t -> {
              int i0 = t % blocks * height;
              int j0 = t / blocks * width;
              block(i0, Math.min(height, m - i0), j0, Math.min(width, n - j0), 0, k);
            });
      } else {
        splitSum(pool, split, width, columns, height, blocks);
      }
    }

    /** Sums blocks of k apart and adds the partial results in rising order. */
    private void splitSum(
        Parallel pool, int split, int width, int columns, int height, int blocks) {
      int depth = (k + split - 1) / split;
      int parts = (k + depth - 1) / depth;
      int size = m * n;
      float[] partial = new float[parts * size];
      pool.run(
          parts * columns * blocks,
          t -> {
            int part = t % parts;
            int rest = t / parts;
            int i0 = rest % blocks * height;
            int j0 = rest / blocks * width;
            Product p = new Product();
            p.a = a;
            p.aOff = aOff;
            p.aRow = aRow;
            p.aCol = aCol;
            p.b = b;
            p.bOff = bOff;
            p.bRow = bRow;
            p.bCol = bCol;
            p.c = partial;
            p.cOff = part * size;
            p.cRow = n;
            p.cCol = 1;
            int k0 = part * depth;
            p.block(
                i0,
                Math.min(height, m - i0),
                j0,
                Math.min(width, n - j0),
                k0,
                Math.min(k, k0 + depth));
          });
      pool.range(
          m,
          Math.max(1, CHUNK_WORK / 4 / ((long) n * parts)),
          (from, to) -> {
            for (int i = from; i < to; i++) {
              for (int j = 0; j < n; j++) {
                int z = cOff + i * cRow + j * cCol;
                float sum = accumulate ? c[z] : 0f;
                for (int p = 0; p < parts; p++) {
                  sum += partial[p * size + i * n + j];
                }
                c[z] = sum;
              }
            }
          });
    }

    /** Computes rows {@code i0 ..} and columns {@code j0 ..} of C over {@code k0 <= k < k1}. */
    private void block(int i0, int rows, int j0, int nb, int k0, int k1) {
      PanelGemm engine = PanelGemm.take();
      float[][] acc = engine.rows(rows);
      int z0 = cOff + i0 * cRow + j0 * cCol;
      for (int i = 0; i < rows; i++) {
        if (accumulate) {
          load(acc[i], z0 + i * cRow, nb);
        } else {
          Arrays.fill(acc[i], 0, nb, 0f);
        }
      }
      PanelGemm.Columns source =
          bCol == 1
              ? (to, p0, kc, j, w) -> {
                for (int p = 0; p < kc; p++) {
                  System.arraycopy(b, bOff + (k0 + p0 + p) * bRow + j, to[p], 0, w);
                }
              }
              : (to, p0, kc, j, w) ->
                  transpose(b, bOff + j * bCol + (k0 + p0) * bRow, bRow, bCol, to, kc, w);
      engine.multiply(rows, k1 - k0, a, aOff + i0 * aRow + k0 * aCol, aRow, aCol, source, j0, nb);
      if (cCol == 1) {
        for (int i = 0; i < rows; i++) {
          System.arraycopy(acc[i], 0, c, z0 + i * cRow, nb);
        }
      } else {
        // Of the strides of a row-major result, transposed or not, one is 1.
        scatter(acc, rows, 0, nb, c, z0, cCol);
      }
      PanelGemm.give(engine);
    }

    private void load(float[] to, int z, int nb) {
      if (cCol == 1) {
        System.arraycopy(c, z, to, 0, nb);
      } else {
        for (int j = 0; j < nb; j++) {
          to[j] = c[z + j * cCol];
        }
      }
    }
  }

  /**
   * Writes {@code c[z + i + j * pitch] = acc[i][from + j]}, eight rows at a time: C2 checks their
   * indices once because their distances are constant.
   */
  static void scatter(float[][] acc, int rows, int from, int nb, float[] c, int z, int pitch) {
    int i = 0;
    for (; i + 8 <= rows; i += 8) {
      float[] r0 = acc[i];
      float[] r1 = acc[i + 1];
      float[] r2 = acc[i + 2];
      float[] r3 = acc[i + 3];
      float[] r4 = acc[i + 4];
      float[] r5 = acc[i + 5];
      float[] r6 = acc[i + 6];
      float[] r7 = acc[i + 7];
      int at = z + i;
      for (int j = from; j < from + nb; j++) {
        c[at] = r0[j];
        c[at + 1] = r1[j];
        c[at + 2] = r2[j];
        c[at + 3] = r3[j];
        c[at + 4] = r4[j];
        c[at + 5] = r5[j];
        c[at + 6] = r6[j];
        c[at + 7] = r7[j];
        at += pitch;
      }
    }
    for (; i < rows; i++) {
      float[] r = acc[i];
      int at = z + i;
      for (int j = from; j < from + nb; j++) {
        c[at] = r[j];
        at += pitch;
      }
    }
  }

  /** Writes {@code to[p][j] = b[at + p * bRow + j * bCol]}, reading eight columns side by side. */
  static void transpose(float[] b, int at, int bRow, int bCol, float[][] to, int kc, int nb) {
    int j = 0;
    for (; j + 8 <= nb; j += 8) {
      int y = at + j * bCol;
      for (int p = 0; p < kc; p++) {
        float[] row = to[p];
        row[j] = b[y];
        row[j + 1] = b[y + bCol];
        row[j + 2] = b[y + 2 * bCol];
        row[j + 3] = b[y + 3 * bCol];
        row[j + 4] = b[y + 4 * bCol];
        row[j + 5] = b[y + 5 * bCol];
        row[j + 6] = b[y + 6 * bCol];
        row[j + 7] = b[y + 7 * bCol];
        y += bRow;
      }
    }
    for (; j < nb; j++) {
      int y = at + j * bCol;
      for (int p = 0; p < kc; p++) {
        to[p][j] = b[y];
        y += bRow;
      }
    }
  }

  /** Returns the dot product in eight interleaved sums, which hide the latency of the adds. */
  private static float dot(float[] x, float[] b, int at, int k) {
    float s0 = 0f;
    float s1 = 0f;
    float s2 = 0f;
    float s3 = 0f;
    float s4 = 0f;
    float s5 = 0f;
    float s6 = 0f;
    float s7 = 0f;
    int p = 0;
    for (; p + 8 <= k; p += 8) {
      s0 = Fma.fma(x[p], b[at + p], s0);
      s1 = Fma.fma(x[p + 1], b[at + p + 1], s1);
      s2 = Fma.fma(x[p + 2], b[at + p + 2], s2);
      s3 = Fma.fma(x[p + 3], b[at + p + 3], s3);
      s4 = Fma.fma(x[p + 4], b[at + p + 4], s4);
      s5 = Fma.fma(x[p + 5], b[at + p + 5], s5);
      s6 = Fma.fma(x[p + 6], b[at + p + 6], s6);
      s7 = Fma.fma(x[p + 7], b[at + p + 7], s7);
    }
    for (; p < k; p++) {
      s0 = Fma.fma(x[p], b[at + p], s0);
    }
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
  }
}
