package io.gradus.backend.reference;

import io.gradus.backend.ConvShape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Two-dimensional float32 convolutions of images {@code [N, H, W, C]} with weights {@code [O, KH,
 * KW, C / groups]}, and their gradients.
 *
 * <p>Output and input gradient are sums over shifted planes ({@link ShiftedSum}). The weight
 * gradient is a matrix product over all pixels with rows gathered from the input; blocks of pixels
 * are summed apart and their sums added in rising order. Convolutions of single channels are left
 * to {@link DepthwiseKernels}. No result depends on the number of threads.
 */
final class ConvKernels {
  /** Blocks of pixels whose weight gradients are summed apart. */
  private static final int PARTS = 16;

  /** Fewest pixels of such a block. */
  private static final int PART_PIXELS = 256;

  /** Most floats of all partial weight gradients together. */
  private static final long PART_FLOATS = 1 << 23;

  /** Values of a patch up to which patches are laid out as coefficients, not as columns. */
  private static final int NARROW = 64;

  /** Patches laid out at a time, to bound the scratch memory. */
  private static final int PATCHES = 4096;

  /** Runs at most this long are copied by a loop, which costs less than a call there. */
  private static final int SHORT_RUN = 12;

  private ConvKernels() {}

  /**
   * Computes {@code y [N, OH, OW, O]} from {@code x [N, H, W, C]}, weights {@code w} and, unless
   * null, one {@code bias} per output channel.
   */
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
    if (DepthwiseKernels.fits(s)) {
      DepthwiseKernels.forward(pool, s, x, xOff, w, wOff, bias, biasOff, y, yOff);
      return;
    }
    ShiftedSum sum = new ShiftedSum();
    sum.src = x;
    sum.srcOff = xOff;
    sum.srcH = s.h();
    sum.srcW = s.w();
    sum.srcPitch = s.c();
    sum.images = s.n();
    sum.groups = s.groups();
    sum.channels = s.c() / s.groups();
    sum.results = s.o() / s.groups();
    sum.gridH = s.oh();
    sum.gridW = s.ow();
    sum.rowStep = s.strideH();
    sum.colStep = s.strideW();
    sum.tapRow = new int[s.kh() * s.kw()];
    sum.tapCol = new int[s.kh() * s.kw()];
    for (int t = 0; t < sum.tapRow.length; t++) {
      sum.tapRow[t] = t / s.kw() * s.dilationH() - s.padH();
      sum.tapCol[t] = t % s.kw() * s.dilationW() - s.padW();
    }
    sum.weights = w;
    sum.weightsOff = wOff;
    sum.bias = bias;
    sum.biasOff = biasOff;
    sum.dst = y;
    sum.dstOff = yOff;
    sum.dstH = s.oh();
    sum.dstW = s.ow();
    sum.dstPitch = s.o();
    sum.dstRow = 1;
    sum.dstCol = 1;
    sum.run(pool);
  }

  /**
   * Computes the gradient {@code gx [N, H, W, C]} with respect to the input from that of the
   * output, {@code gy [N, OH, OW, O]}. What gx held is overwritten.
   *
   * <p>With a stride, input pixels of different remainders see different taps; each remainder is a
   * convolution of its own with stride one over gy.
   */
  static void backwardInput(
      Parallel pool,
      ConvShape s,
      float[] gy,
      int gyOff,
      float[] w,
      int wOff,
      float[] gx,
      int gxOff) {
    if (DepthwiseKernels.fits(s)) {
      DepthwiseKernels.backwardInput(pool, s, gy, gyOff, w, wOff, gx, gxOff);
      return;
    }
    int channels = s.c() / s.groups();
    int results = s.o() / s.groups();
    for (int a = 0; a < Math.min(s.strideH(), s.h()); a++) {
      for (int b = 0; b < Math.min(s.strideW(), s.w()); b++) {
        int[] taps = new int[s.kh() * s.kw()];
        int count = 0;
        for (int t = 0; t < taps.length; t++) {
          int r = a + s.padH() - t / s.kw() * s.dilationH();
          int q = b + s.padW() - t % s.kw() * s.dilationW();
          if (r % s.strideH() == 0 && q % s.strideW() == 0) {
            taps[count++] = t;
          }
        }
        ShiftedSum sum = new ShiftedSum();
        sum.src = gy;
        sum.srcOff = gyOff;
        sum.srcH = s.oh();
        sum.srcW = s.ow();
        sum.srcPitch = s.o();
        sum.images = s.n();
        sum.groups = s.groups();
        sum.channels = results;
        sum.results = channels;
        sum.gridH = (s.h() - a + s.strideH() - 1) / s.strideH();
        sum.gridW = (s.w() - b + s.strideW() - 1) / s.strideW();
        sum.rowStep = 1;
        sum.colStep = 1;
        sum.tapRow = new int[count];
        sum.tapCol = new int[count];
        for (int i = 0; i < count; i++) {
          int t = taps[i];
          sum.tapRow[i] = (a + s.padH() - t / s.kw() * s.dilationH()) / s.strideH();
          sum.tapCol[i] = (b + s.padW() - t % s.kw() * s.dilationW()) / s.strideW();
        }
        sum.weights = turned(s, w, wOff, taps, count);
        sum.dst = gx;
        sum.dstOff = gxOff + (a * s.w() + b) * s.c();
        sum.dstH = s.h();
        sum.dstW = s.w();
        sum.dstPitch = s.c();
        sum.dstRow = s.strideH();
        sum.dstCol = s.strideW();
        sum.run(pool);
      }
    }
  }

  /** Returns the weights of some taps as [C, taps, O / groups]. */
  private static float[] turned(ConvShape s, float[] w, int wOff, int[] taps, int count) {
    int channels = s.c() / s.groups();
    int results = s.o() / s.groups();
    int all = s.kh() * s.kw();
    float[] out = new float[s.c() * count * results];
    for (int o = 0; o < s.o(); o++) {
      int g = o / results;
      for (int i = 0; i < count; i++) {
        int from = wOff + (o * all + taps[i]) * channels;
        for (int ch = 0; ch < channels; ch++) {
          out[((g * channels + ch) * count + i) * results + o % results] = w[from + ch];
        }
      }
    }
    return out;
  }

  /**
   * Computes the gradient {@code gw [O, KH, KW, C / groups]} with respect to the weights from
   * {@code x [N, H, W, C]} and the gradient {@code gy [N, OH, OW, O]} of the output. What gw held
   * is overwritten.
   */
  static void backwardWeight(
      Parallel pool,
      ConvShape s,
      float[] x,
      int xOff,
      float[] gy,
      int gyOff,
      float[] gw,
      int gwOff) {
    if (DepthwiseKernels.fits(s)) {
      DepthwiseKernels.backwardWeight(pool, s, x, xOff, gy, gyOff, gw, gwOff);
      return;
    }
    int channels = s.c() / s.groups();
    int results = s.o() / s.groups();
    int depth = s.kh() * s.kw() * channels;
    int size = s.o() * depth;
    if (size == 0) {
      return;
    }
    long pixels = (long) s.n() * s.oh() * s.ow();
    long most = Math.max(1, Math.min(PARTS, PART_FLOATS / size));
    int parts = (int) Math.max(1, Math.min(most, pixels / PART_PIXELS));
    int step = (int) ((pixels + parts - 1) / parts);
    int panels = (depth + PanelGemm.WIDTH - 1) / PanelGemm.WIDTH;
    int width = ((depth + panels - 1) / panels + 7) / 8 * 8;
    // Rows as long as possible: with few values per patch the output channels make the longer ones.
    boolean narrow = depth < results && depth <= NARROW;
    int columns = narrow ? 1 : (depth + width - 1) / width;
    float[] partial = parts == 1 ? gw : new float[parts * size];
    int partialOff = parts == 1 ? gwOff : 0;
    pool.run(
        parts * s.groups() * columns,
        t -> {
          int part = t % parts;
          int g = t / parts % s.groups();
          int j0 = t / parts / s.groups() * width;
          int nb = Math.min(width, depth - j0);
          int first = (int) Math.min(pixels, (long) part * step);
          int count = (int) Math.min(step, pixels - first);
          PanelGemm engine = PanelGemm.take();
          int at = partialOff + part * size + g * results * depth;
          if (narrow) {
            narrowPart(engine, s, x, xOff, gy, gyOff, g, first, count, partial, at);
          } else {
            widePart(engine, s, x, xOff, gy, gyOff, g, first, count, j0, nb, partial, at);
          }
          PanelGemm.give(engine);
        });
    if (parts > 1) {
      pool.range(
          size,
          4096,
          (from, to) -> {
            float[] sum = Arrays.copyOfRange(partial, from, to);
            float[] part = new float[to - from];
            for (int p = 1; p < parts; p++) {
              System.arraycopy(partial, p * size + from, part, 0, part.length);
              for (int i = 0; i < part.length; i++) {
                sum[i] += part[i];
              }
            }
            System.arraycopy(sum, 0, gw, gwOff + from, sum.length);
          });
    }
  }

  /** Sums columns {@code j0 ..} of the weight gradient of one group over some pixels. */
  private static void widePart(
      PanelGemm engine,
      ConvShape s,
      float[] x,
      int xOff,
      float[] gy,
      int gyOff,
      int g,
      int first,
      int count,
      int j0,
      int nb,
      float[] to,
      int at) {
    int results = s.o() / s.groups();
    int depth = s.kh() * s.kw() * (s.c() / s.groups());
    PanelGemm.Columns source =
        (rows, k0, kc, from, n) -> patches(s, x, xOff, g, first + k0, kc, from, n, rows);
    for (int m0 = 0; m0 < results; m0 += PanelGemm.MAX_ROWS) {
      int rows = Math.min(PanelGemm.MAX_ROWS, results - m0);
      float[][] acc = engine.rows(rows);
      for (int i = 0; i < rows; i++) {
        Arrays.fill(acc[i], 0, nb, 0f);
      }
      int from = gyOff + first * s.o() + g * results + m0;
      engine.multiply(rows, count, gy, from, 1, s.o(), source, j0, nb);
      for (int i = 0; i < rows; i++) {
        System.arraycopy(acc[i], 0, to, at + (m0 + i) * depth + j0, nb);
      }
    }
  }

  /** Sums the transposed weight gradient of one group over some pixels, for short patches. */
  private static void narrowPart(
      PanelGemm engine,
      ConvShape s,
      float[] x,
      int xOff,
      float[] gy,
      int gyOff,
      int g,
      int first,
      int count,
      float[] to,
      int at) {
    int results = s.o() / s.groups();
    int depth = s.kh() * s.kw() * (s.c() / s.groups());
    float[][] few = new float[Math.min(count, 64)][depth];
    for (int p0 = 0; p0 < count; p0 += PATCHES) {
      int pixels = Math.min(PATCHES, count - p0);
      float[] flat = engine.buffer(pixels * depth);
      for (int p = 0; p < pixels; p += few.length) {
        int n = Math.min(few.length, pixels - p);
        patches(s, x, xOff, g, first + p0 + p, n, 0, depth, few);
        for (int i = 0; i < n; i++) {
          System.arraycopy(few[i], 0, flat, (p + i) * depth, depth);
        }
      }
      int base = gyOff + (first + p0) * s.o() + g * results;
      PanelGemm.Columns source =
          (rows, k0, kc, from, n) -> {
            for (int p = 0; p < kc; p++) {
              System.arraycopy(gy, base + (k0 + p) * s.o() + from, rows[p], 0, n);
            }
          };
      for (int j0 = 0; j0 < results; j0 += PanelGemm.WIDTH) {
        int nb = Math.min(PanelGemm.WIDTH, results - j0);
        float[][] acc = engine.rows(depth);
        for (int t = 0; t < depth; t++) {
          for (int j = 0; j < nb; j++) {
            acc[t][j] = p0 == 0 ? 0f : to[at + (j0 + j) * depth + t];
          }
        }
        engine.multiply(depth, pixels, flat, 0, 1, depth, source, j0, nb);
        Sgemm.scatter(acc, depth, 0, nb, to, at + j0 * depth, depth);
      }
    }
  }

  /**
   * Gathers, per output pixel, columns {@code j0 .. j0 + nb - 1} of its patch [KH, KW, C / groups].
   */
  private static void patches(
      ConvShape s, float[] x, int xOff, int g, int pixel, int count, int j0, int nb, float[][] to) {
    int channels = s.c() / s.groups();
    int row = s.kw() * channels;
    int ow = s.ow();
    int oh = s.oh();
    boolean joined = s.groups() == 1 && s.dilationW() == 1;
    int i = pixel / (oh * ow);
    int u = pixel / ow % oh;
    int v = pixel % ow;
    for (int p = 0; p < count; p++) {
      float[] out = to[p];
      int left = v * s.strideW() - s.padW();
      boolean inside = left >= 0 && left + (s.kw() - 1) * s.dilationW() < s.w();
      for (int kh = j0 / row; kh * row < j0 + nb; kh++) {
        int r = u * s.strideH() - s.padH() + kh * s.dilationH();
        int at = kh * row - j0;
        if (r < 0 || r >= s.h()) {
          Arrays.fill(out, Math.max(0, at), Math.min(nb, at + row), 0f);
          continue;
        }
        int from = xOff + ((i * s.h() + r) * s.w() + left) * s.c() + g * channels;
        if (joined && inside) {
          copy(x, from, out, at, row, nb);
          continue;
        }
        for (int kw = 0; kw < s.kw(); kw++) {
          int q = left + kw * s.dilationW();
          if (q >= 0 && q < s.w()) {
            copy(x, from + kw * s.dilationW() * s.c(), out, at, channels, nb);
          } else {
            Arrays.fill(
                out, Math.min(nb, Math.max(0, at)), Math.max(0, Math.min(nb, at + channels)), 0f);
          }
          at += channels;
        }
      }
      if (++v == ow) {
        v = 0;
        if (++u == oh) {
          u = 0;
          i++;
        }
      }
    }
  }

  /** Copies a run to {@code out[at ..]}, leaving out what falls outside {@code 0 .. nb - 1}. */
  private static void copy(float[] x, int from, float[] out, int at, int length, int nb) {
    int start = Math.max(0, -at);
    int end = Math.min(length, nb - at);
    if (end - start > SHORT_RUN) {
      System.arraycopy(x, from + start, out, at + start, end - start);
    } else {
      for (int j = start; j < end; j++) {
        out[at + j] = x[from + j];
      }
    }
  }
}
