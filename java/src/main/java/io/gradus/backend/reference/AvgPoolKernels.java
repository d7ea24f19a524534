package io.gradus.backend.reference;

import io.gradus.backend.PoolShape;
import java.util.Arrays;

/** Float32 average pooling. The inner loops run over channels, which lie side by side. */
final class AvgPoolKernels {
  private AvgPoolKernels() {}

  static void forward(
      Parallel pool, PoolShape s, boolean countPadding, float[] x, int xAt, float[] y, int yAt) {
    int c = s.c();
    pool.range(
        (long) s.n() * s.oh(),
        Math.max(1, HeapArrays.GRAIN / Math.max(1, s.ow() * c * s.kh() * s.kw())),
        (from, to) -> {
          for (int r = from; r < to; r++) {
            int i = r % s.oh();
            int image = xAt + r / s.oh() * s.h() * s.w() * c;
            for (int j = 0; j < s.ow(); j++) {
              int out = yAt + (r * s.ow() + j) * c;
              Arrays.fill(y, out, out + c, 0f);
              for (int row = s.rowStart(i); row < s.rowEnd(i); row++) {
                for (int col = s.colStart(j); col < s.colEnd(j); col++) {
                  add(x, image + (row * s.w() + col) * c, y, out, c);
                }
              }
              divide(y, out, c, s.divisor(i, j, countPadding));
            }
          }
        });
  }

  private static void add(float[] x, int xAt, float[] y, int yAt, int n) {
    for (int k = 0; k < n; k++) {
      y[yAt + k] += x[xAt + k];
    }
  }

  private static void divide(float[] y, int at, int n, float divisor) {
    for (int k = 0; k < n; k++) {
      y[at + k] /= divisor;
    }
  }

  /** Every input row collects from the output rows whose windows hold it: threads share rows. */
  static void backward(
      Parallel pool,
      PoolShape s,
      boolean countPadding,
      float[] gradY,
      int gradYAt,
      float[] gradX,
      int gradXAt) {
    int c = s.c();
    int rowLength = s.w() * c;
    pool.range(
        (long) s.n() * s.h(),
        Math.max(1, HeapArrays.GRAIN / Math.max(1, rowLength * s.kh() * s.kw())),
        (from, to) -> {
          for (int r = from; r < to; r++) {
            int row = r % s.h();
            int target = gradXAt + r * rowLength;
            Arrays.fill(gradX, target, target + rowLength, 0f);
            for (int i = 0; i < s.oh(); i++) {
              if (s.rowStart(i) <= row && row < s.rowEnd(i)) {
                int source = gradYAt + (r / s.h() * s.oh() + i) * s.ow() * c;
                spreadRow(s, i, countPadding, gradY, source, gradX, target);
              }
            }
          }
        });
  }

  private static void spreadRow(
      PoolShape s,
      int i,
      boolean countPadding,
      float[] gradY,
      int source,
      float[] gradX,
      int target) {
    int c = s.c();
    for (int j = 0; j < s.ow(); j++) {
      float divisor = s.divisor(i, j, countPadding);
      for (int col = s.colStart(j); col < s.colEnd(j); col++) {
        addShare(gradY, source + j * c, divisor, gradX, target + col * c, c);
      }
    }
  }

  private static void addShare(float[] g, int gAt, float divisor, float[] out, int at, int n) {
    for (int k = 0; k < n; k++) {
      out[at + k] += g[gAt + k] / divisor;
    }
  }
}
