package io.gradus.backend.reference;

import io.gradus.backend.PoolShape;
import java.util.Arrays;

/** Float32 max pooling. The inner loops run over channels, which lie side by side. */
final class MaxPoolKernels {
  /** Channels that one thread adds gradients to: some cache lines, so that threads share none. */
  private static final int CHANNEL_BLOCK = 64;

  private MaxPoolKernels() {}

  /** Rows of output whose windows hold about {@link HeapArrays#GRAIN} values. */
  private static int rowGrain(PoolShape s) {
    return Math.max(1, HeapArrays.GRAIN / Math.max(1, s.ow() * s.c() * s.kh() * s.kw()));
  }

  /** Maxima only: these loops vectorise. */
  static void values(Parallel pool, PoolShape s, float[] x, int xAt, float[] y, int yAt) {
    int c = s.c();
    pool.range(
        (long) s.n() * s.oh(),
        rowGrain(s),
        (from, to) -> {
          for (int r = from; r < to; r++) {
            int i = r % s.oh();
            int image = xAt + r / s.oh() * s.h() * s.w() * c;
            for (int j = 0; j < s.ow(); j++) {
              int out = yAt + (r * s.ow() + j) * c;
              Arrays.fill(y, out, out + c, Float.NEGATIVE_INFINITY);
              for (int row = s.rowStart(i); row < s.rowEnd(i); row++) {
                for (int col = s.colStart(j); col < s.colEnd(j); col++) {
                  larger(x, image + (row * s.w() + col) * c, y, out, c);
                }
              }
            }
          }
        });
  }

  private static void larger(float[] x, int xAt, float[] y, int yAt, int n) {
    for (int k = 0; k < n; k++) {
      y[yAt + k] = Math.max(y[yAt + k], x[xAt + k]);
    }
  }

  /** Maxima and where they stand. */
  static void valuesAndPositions(
      Parallel pool,
      PoolShape s,
      float[] x,
      int xAt,
      float[] y,
      int yAt,
      int[] index,
      int indexAt) {
    int c = s.c();
    boolean quads = s.kh() == 2 && s.kw() == 2 && s.padH() == 0 && s.padW() == 0 && s.strideH() > 0;
    pool.range(
        (long) s.n() * s.oh(),
        rowGrain(s),
        (from, to) -> {
          for (int r = from; r < to; r++) {
            int i = r % s.oh();
            int image = xAt + r / s.oh() * s.h() * s.w() * c;
            for (int j = 0; j < s.ow(); j++) {
              int out = (r * s.ow() + j) * c;
              if (quads) {
                int position = i * s.strideH() * s.w() + j * s.strideW();
                quad(x, image, position, s.w(), y, yAt + out, index, indexAt + out, c);
              } else {
                window(s, i, j, x, image, y, yAt + out, index, indexAt + out);
              }
            }
          }
        });
  }

  /** A full 2 x 2 window, every value read once. */
  private static void quad(
      float[] x,
      int image,
      int position,
      int width,
      float[] y,
      int yAt,
      int[] index,
      int indexAt,
      int c) {
    int top = image + position * c;
    int bottom = top + width * c;
    for (int k = 0; k < c; k++) {
      float p = x[top + k];
      float q = x[top + c + k];
      float r = x[bottom + k];
      float s = x[bottom + c + k];
      float upper = Math.max(p, q);
      float lower = Math.max(r, s);
      // Selections rather than branches, which would be mispredicted every other time.
      int upperAt = q > p ? position + 1 : position;
      int lowerAt = s > r ? position + width + 1 : position + width;
      float best = Math.max(upper, lower);
      int at = lower > upper ? lowerAt : upperAt;
      if (Float.isNaN(best)) {
        at = firstNaN(p, q, r, position, width);
      }
      y[yAt + k] = best;
      index[indexAt + k] = at;
    }
  }

  private static int firstNaN(float p, float q, float r, int position, int width) {
    if (Float.isNaN(p)) {
      return position;
    }
    if (Float.isNaN(q)) {
      return position + 1;
    }
    return Float.isNaN(r) ? position + width : position + width + 1;
  }

  private static void window(
      PoolShape s, int i, int j, float[] x, int image, float[] y, int yAt, int[] index, int at) {
    int c = s.c();
    int first = s.rowStart(i) * s.w() + s.colStart(j);
    System.arraycopy(x, image + first * c, y, yAt, c);
    Arrays.fill(index, at, at + c, first);
    for (int row = s.rowStart(i); row < s.rowEnd(i); row++) {
      for (int col = s.colStart(j); col < s.colEnd(j); col++) {
        int position = row * s.w() + col;
        int source = image + position * c;
        for (int k = 0; k < c; k++) {
          float v = x[source + k];
          float best = y[yAt + k];
          int before = index[at + k];
          int after = v > best ? position : before;
          if (Float.isNaN(v)) {
            after = Float.isNaN(best) ? before : position;
          }
          y[yAt + k] = Math.max(best, v);
          index[at + k] = after;
        }
      }
    }
  }

  /** Adds every output's gradient at its position, in the order of outputs. */
  static void backward(
      Parallel pool,
      PoolShape s,
      float[] gradY,
      int gradYAt,
      int[] index,
      int indexAt,
      float[] gradX,
      int gradXAt) {
    int c = s.c();
    int pixels = s.h() * s.w();
    int windows = s.oh() * s.ow();
    int blocks = (c + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
    int work = (pixels + windows) * Math.min(c, CHANNEL_BLOCK);
    pool.range(
        (long) s.n() * blocks,
        Math.max(1, HeapArrays.GRAIN / Math.max(1, work)),
        (from, to) -> {
          for (int unit = from; unit < to; unit++) {
            int image = unit / blocks;
            int k0 = unit % blocks * CHANNEL_BLOCK;
            int k1 = Math.min(c, k0 + CHANNEL_BLOCK);
            int base = gradXAt + image * pixels * c;
            if (blocks == 1) {
              Arrays.fill(gradX, base, base + pixels * c, 0f);
            } else {
              for (int p = 0; p < pixels; p++) {
                Arrays.fill(gradX, base + p * c + k0, base + p * c + k1, 0f);
              }
            }
            for (int o = image * windows; o < (image + 1) * windows; o++) {
              for (int k = k0; k < k1; k++) {
                gradX[base + index[indexAt + o * c + k] * c + k] += gradY[gradYAt + o * c + k];
              }
            }
          }
        });
  }
}
