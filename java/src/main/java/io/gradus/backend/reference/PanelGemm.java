package io.gradus.backend.reference;

import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;

/**
 * The inner engine of the float32 matrix product and of the convolutions: a few rows of results
 * over one panel of at most {@link #WIDTH} columns.
 *
 * <p>C2 keeps no vector accumulators across iterations of a Java loop, so the product is built from
 * updates of long rows: three result rows gain three products each per pass. Every row is an array
 * of its own and all are read at the same index, because C2 of JDK 17 takes two accesses for
 * independent only when their arrays differ and their index expressions agree; rows at different
 * offsets of one array stay scalar there. Result rows stay in the first-level cache while the
 * panel, whose size is chosen for the second-level cache, streams by.
 *
 * <p>An instance is scratch memory for one thread at a time; {@link #take} and {@link #give} lend
 * instances from a bounded store. Every element is the sum over k in rising order, whatever the
 * blocking of columns.
 */
final class PanelGemm {
  /** In place of an operand that a loop does not have. */
  private static final float[] NONE = {};

  /** Columns of a panel: long enough that the scalar loop ends of C2 are a small part. */
  static final int WIDTH = 768;

  /** Rows of a panel, a multiple of six: with the result rows it fits a cache of 512 KiB. */
  static final int DEPTH = 96;

  /** Most result rows held at a time by the callers. */
  static final int MAX_ROWS = 256;

  // Four spare floats make the size of an array, header included, a multiple of 32 bytes, so that
  // neighbouring rows are aligned alike; and successive rows do not start 3 KiB apart, which would
  // put them into the same cache sets.
  private static final int PITCH = WIDTH + 4;

  private static final ArrayBlockingQueue<PanelGemm> STORE = new ArrayBlockingQueue<>(16);

  private final float[][] panel = new float[DEPTH][];
  private final float[][] result = new float[MAX_ROWS][];
  private final float[][] spare = new float[2][PITCH];
  private final float[] coefficients = new float[4 * DEPTH];
  private float[] buffer = new float[0];
  private int panelRows;
  private int resultRows;

  /** Where the columns of the right operand come from. */
  interface Columns {
    /**
     * Writes rows {@code k0 .. k0 + kc - 1} of the right operand, columns {@code j0 .. j0 + nb -
     * 1}, to {@code rows[0 .. kc - 1][0 .. nb - 1]}.
     */
    void fill(float[][] rows, int k0, int kc, int j0, int nb);
  }

  private PanelGemm() {}

  /** Returns scratch memory for the calling thread, to be handed back with {@link #give}. */
  static PanelGemm take() {
    PanelGemm p = STORE.poll();
    return p != null ? p : new PanelGemm();
  }

  /** Hands scratch memory back. */
  static void give(PanelGemm p) {
    STORE.offer(p);
  }

  /** Returns result rows, at least {@code m} (at most {@link #MAX_ROWS}) of {@link #WIDTH}. */
  float[][] rows(int m) {
    while (resultRows < m) {
      result[resultRows++] = new float[PITCH];
    }
    return result;
  }

  /** Returns scratch floats of the caller's own, at least {@code size}, with any contents. */
  float[] buffer(int size) {
    if (buffer.length < size) {
      buffer = new float[size];
    }
    return buffer;
  }

  /**
   * Adds a product to the result rows: {@code rows[i][j] += sum_k a[aOff + i * aRow + k * aCol] *
   * b[k][j0 + j]} for {@code i < m}, {@code j < nb}, with {@code b} given by {@code source}.
   */
  void multiply(
      int m, int k, float[] a, int aOff, int aRow, int aCol, Columns source, int j0, int nb) {
    float[][] c = rows(m);
    int blocks = (k + DEPTH - 1) / DEPTH;
    int step = blocks == 0 ? 0 : ((k + blocks - 1) / blocks + 5) / 6 * 6;
    for (int k0 = 0; k0 < k; k0 += step) {
      int kc = Math.min(step, k - k0);
      int padded = (kc + 2) / 3 * 3;
      while (panelRows <= padded && panelRows < DEPTH) {
        panel[panelRows++] = new float[PITCH];
      }
      source.fill(panel, k0, kc, j0, nb);
      for (int p = kc; p < Math.max(padded, (kc + 1) / 2 * 2); p++) {
        Arrays.fill(panel[p], 0, nb, 0f);
      }
      int at = aOff + k0 * aCol;
      int i = 0;
      while (i < m) {
        int left = m - i;
        int from = at + i * aRow;
        if (left == 4 || left == 8) {
          int even = (kc + 1) / 2 * 2;
          pack(4, 4, 2, kc, even, a, from, aRow, aCol);
          sweepFour(c[i], c[i + 1], c[i + 2], c[i + 3], even, nb);
          i += 4;
        } else {
          int live = Math.min(3, left);
          pack(live, 3, 3, kc, padded, a, from, aRow, aCol);
          float[] c1 = live > 1 ? c[i + 1] : idle(0, nb);
          float[] c2 = live > 2 ? c[i + 2] : idle(1, nb);
          sweepThree(c[i], c1, c2, padded, nb);
          i += live;
        }
      }
    }
  }

  /** Returns a row of zeros to take the place of a result row that is not there. */
  private float[] idle(int i, int nb) {
    Arrays.fill(spare[i], 0, nb, 0f);
    return spare[i];
  }

  /**
   * Lays out coefficients in the order of use: {@code step} k of the first row of a group, of the
   * second, and so on, then the next k; zeros for the rows and k that are not there.
   */
  private void pack(
      int live, int group, int step, int kc, int padded, float[] a, int at, int aRow, int aCol) {
    float[] out = coefficients;
    if (live < group || kc < padded) {
      Arrays.fill(out, 0, group * padded, 0f);
    }
    for (int r = 0; r < live; r++) {
      int from = at + r * aRow;
      int to = step * r;
      int p = 0;
      if (step == 3) {
        for (; p + 3 <= kc; p += 3) {
          out[to] = a[from];
          out[to + 1] = a[from + aCol];
          out[to + 2] = a[from + 2 * aCol];
          from += 3 * aCol;
          to += 3 * group;
        }
      } else {
        for (; p + 2 <= kc; p += 2) {
          out[to] = a[from];
          out[to + 1] = a[from + aCol];
          from += 2 * aCol;
          to += 2 * group;
        }
      }
      for (; p < kc; p++) {
        out[to++] = a[from];
        from += aCol;
      }
    }
  }

  /** Runs the whole depth of the panel for three result rows. */
  private void sweepThree(float[] c0, float[] c1, float[] c2, int kc, int nb) {
    for (int p = 0; p < kc; p += 3) {
      update(c0, c1, c2, NONE, panel[p], panel[p + 1], panel[p + 2], coefficients, 3 * p, nb);
    }
  }

  /** Runs the whole depth of the panel for four result rows. */
  private void sweepFour(float[] c0, float[] c1, float[] c2, float[] c3, int kc, int nb) {
    for (int p = 0; p < kc; p += 2) {
      update(c0, c1, c2, c3, panel[p], panel[p + 1], NONE, coefficients, 4 * p, nb);
    }
  }

  // Two things here look accidental and are not. The order of loads and stores: C2 of JDK 17 leaves
  // other orders, and loops with more rows or products, scalar. And both loops being in one method:
  // that makes it too long to be inlined (FreqInlineSize), and inlined into the loop of the caller
  // these loops are not vectorised either.
  private static void update(
      float[] c0,
      float[] c1,
      float[] c2,
      float[] c3,
      float[] b0,
      float[] b1,
      float[] b2,
      float[] a,
      int at,
      int n) {
    float a0 = a[at];
    float a1 = a[at + 1];
    float a2 = a[at + 2];
    float a3 = a[at + 3];
    float a4 = a[at + 4];
    float a5 = a[at + 5];
    float a6 = a[at + 6];
    float a7 = a[at + 7];
    if (c3.length > 0) {
      for (int j = 0; j < n; j++) {
        float v0 = b0[j];
        float v1 = b1[j];
        c0[j] = Fma.fma(a1, v1, Fma.fma(a0, v0, c0[j]));
        c1[j] = Fma.fma(a3, v1, Fma.fma(a2, v0, c1[j]));
        c2[j] = Fma.fma(a5, v1, Fma.fma(a4, v0, c2[j]));
        c3[j] = Fma.fma(a7, v1, Fma.fma(a6, v0, c3[j]));
      }
    } else {
      float a8 = a[at + 8];
      for (int j = 0; j < n; j++) {
        float v0 = b0[j];
        float v1 = b1[j];
        float v2 = b2[j];
        float w0 = Fma.fma(a2, v2, Fma.fma(a1, v1, Fma.fma(a0, v0, c0[j])));
        float w1 = Fma.fma(a5, v2, Fma.fma(a4, v1, Fma.fma(a3, v0, c1[j])));
        float w2 = Fma.fma(a8, v2, Fma.fma(a7, v1, Fma.fma(a6, v0, c2[j])));
        c0[j] = w0;
        c1[j] = w1;
        c2[j] = w2;
      }
    }
  }
}
