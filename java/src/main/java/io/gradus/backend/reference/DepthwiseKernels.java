package io.gradus.backend.reference;

import io.gradus.backend.ConvShape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Convolutions in which every channel is convolved with one kernel of its own ({@code groups == c
 * == o}), on images {@code [N, H, W, C]} with weights {@code [C, KH, KW, 1]}.
 *
 * <p>There is no sum over channels here, so the matrix engine would idle. Instead whole rows of an
 * image, columns and channels together, are multiplied element by element with weights repeated for
 * every column; rows are copied first, because only loops over separate arrays at one index are
 * vectorised by C2 of JDK 17.
 */
final class DepthwiseKernels {
  /** Image rows of one chunk. */
  private static final int ROWS = 16;

  /** Chunks of rows whose weight gradients are summed apart. */
  private static final int PARTS = 16;

  private DepthwiseKernels() {}

  /** Returns whether this class can do a convolution. */
  static boolean fits(ConvShape s) {
    return s.groups() == s.c() && s.o() == s.c();
  }

  /** Computes what {@link ConvKernels#forward} does. */
  static void forward(
      Parallel pool,
      ConvShape s,
      float[] x,
      int xOff,
      float[] w,
      int wOff,
      float @Nullable [] bias,
      int biasOff,
      float[] y,
      int yOff) {
    int length = s.ow() * s.c();
    float[][] repeated = repeat(s, w, wOff, s.ow());
    float[] start = new float[length];
    for (int i = 0; i < length && bias != null; i++) {
      start[i] = bias[biasOff + i % s.c()];
    }
    pool.range(
        (long) s.n() * s.oh(),
        ROWS,
        (from, to) -> {
          float[] acc = new float[length];
          float[] row = new float[length];
          for (int i = from; i < to; i++) {
            System.arraycopy(start, 0, acc, 0, length);
            for (int t = 0; t < repeated.length; t++) {
              if (pick(s, x, xOff, i, t, row)) {
                add(acc, row, repeated[t], length);
              }
            }
            System.arraycopy(acc, 0, y, yOff + i * length, length);
          }
        });
  }

  /** Computes what {@link ConvKernels#backwardInput} does. */
  static void backwardInput(
      Parallel pool,
      ConvShape s,
      float[] gy,
      int gyOff,
      float[] w,
      int wOff,
      float[] gx,
      int gxOff) {
    int length = s.w() * s.c();
    float[][] repeated = repeat(s, w, wOff, s.w());
    pool.range(
        (long) s.n() * s.h(),
        ROWS,
        (from, to) -> {
          float[] acc = new float[length];
          float[] row = new float[length];
          for (int i = from; i < to; i++) {
            Arrays.fill(acc, 0f);
            for (int t = 0; t < repeated.length; t++) {
              if (spread(s, gy, gyOff, i, t, row)) {
                add(acc, row, repeated[t], length);
              }
            }
            System.arraycopy(acc, 0, gx, gxOff + i * length, length);
          }
        });
  }

  /** Computes what {@link ConvKernels#backwardWeight} does. */
  static void backwardWeight(
      Parallel pool,
      ConvShape s,
      float[] x,
      int xOff,
      float[] gy,
      int gyOff,
      float[] gw,
      int gwOff) {
    int length = s.ow() * s.c();
    int taps = s.kh() * s.kw();
    int rows = s.n() * s.oh();
    int parts = Math.max(1, Math.min(PARTS, rows / ROWS));
    float[][] partial = new float[parts][s.c() * taps];
    pool.run(
        parts,
        part -> {
          int from = (int) ((long) rows * part / parts);
          int to = (int) ((long) rows * (part + 1) / parts);
          float[][] acc = new float[taps][length];
          float[] row = new float[length];
          float[] grad = new float[length];
          for (int i = from; i < to; i++) {
            System.arraycopy(gy, gyOff + i * length, grad, 0, length);
            for (int t = 0; t < taps; t++) {
              if (pick(s, x, xOff, i, t, row)) {
                add(acc[t], row, grad, length);
              }
            }
          }
          for (int t = 0; t < taps; t++) {
            for (int j = 0; j < length; j++) {
              partial[part][j % s.c() * taps + t] += acc[t][j];
            }
          }
        });
    for (int i = 0; i < s.c() * taps; i++) {
      float sum = partial[0][i];
      for (int p = 1; p < parts; p++) {
        sum += partial[p][i];
      }
      gw[gwOff + i] = sum;
    }
  }

  /** Returns per tap the weights of all channels, once for every column. */
  private static float[][] repeat(ConvShape s, float[] w, int wOff, int columns) {
    int taps = s.kh() * s.kw();
    float[][] out = new float[taps][columns * s.c()];
    for (int t = 0; t < taps; t++) {
      for (int j = 0; j < out[t].length; j++) {
        out[t][j] = w[wOff + j % s.c() * taps + t];
      }
    }
    return out;
  }

  /** Copies the input row that output row {@code i} sees through tap {@code t}; false if none. */
  private static boolean pick(ConvShape s, float[] x, int xOff, int i, int t, float[] row) {
    int r = i % s.oh() * s.strideH() - s.padH() + t / s.kw() * s.dilationH();
    if (r < 0 || r >= s.h()) {
      return false;
    }
    int c = s.c();
    int base = xOff + (i / s.oh() * s.h() + r) * s.w() * c;
    int shift = t % s.kw() * s.dilationW() - s.padW();
    if (s.strideW() == 1) {
      slide(x, base, s.w(), shift, row, s.ow(), c);
      return true;
    }
    for (int v = 0; v < s.ow(); v++) {
      int q = v * s.strideW() + shift;
      if (q >= 0 && q < s.w()) {
        System.arraycopy(x, base + q * c, row, v * c, c);
      } else {
        Arrays.fill(row, v * c, v * c + c, 0f);
      }
    }
    return true;
  }

  /** Spreads the output row that input row {@code i} feeds through tap {@code t}; false if none. */
  private static boolean spread(ConvShape s, float[] gy, int gyOff, int i, int t, float[] row) {
    int r = i % s.h() + s.padH() - t / s.kw() * s.dilationH();
    if (r < 0 || r % s.strideH() != 0 || r / s.strideH() >= s.oh()) {
      return false;
    }
    int c = s.c();
    int base = gyOff + (i / s.h() * s.oh() + r / s.strideH()) * s.ow() * c;
    int shift = t % s.kw() * s.dilationW() - s.padW();
    if (s.strideW() == 1) {
      slide(gy, base, s.ow(), -shift, row, s.w(), c);
      return true;
    }
    Arrays.fill(row, 0f);
    for (int v = 0; v < s.ow(); v++) {
      int q = v * s.strideW() + shift;
      if (q >= 0 && q < s.w()) {
        System.arraycopy(gy, base + v * c, row, q * c, c);
      }
    }
    return true;
  }

  /** Writes pixels {@code shift .. shift + columns - 1} of a row, zeros outside it. */
  private static void slide(
      float[] src, int base, int width, int shift, float[] row, int columns, int c) {
    int first = Math.max(0, Math.min(columns, -shift));
    int last = Math.max(first, Math.min(columns, width - shift));
    Arrays.fill(row, 0, first * c, 0f);
    System.arraycopy(src, base + (first + shift) * c, row, first * c, (last - first) * c);
    Arrays.fill(row, last * c, columns * c, 0f);
  }

  private static void add(float[] acc, float[] x, float[] w, int n) {
    for (int j = 0; j < n; j++) {
      acc[j] = Fma.fma(x[j], w[j], acc[j]);
    }
  }
}
