package io.gradus.backend.reference;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The common form of a convolution and of its gradient with respect to the input: every pixel of a
 * grid is a weighted sum of source pixels at fixed shifts.
 *
 * <p>For image i, grid pixel (u, v) and result channel m: {@code dst = bias[m] + sum over taps t
 * and channels ch of weights[m][t][ch] * src[i][u * rowStep + tapRow[t]][v * colStep +
 * tapCol[t]][ch]}, with zeros outside the source.
 *
 * <p>The source is first turned from pixels of channels into planes, one per channel and column
 * shift, without the columns a row does not need. Any tap of any block of grid pixels is then one
 * contiguous piece of a plane per image, so a panel for {@link PanelGemm} is filled by array copies
 * alone.
 */
final class ShiftedSum {
  /** Grid pixels of one chunk: a few panels, so that the planes stay in the second-level cache. */
  private static final int CHUNK_PIXELS = 1024;

  /** Images [images, srcH, srcW, srcPitch]; the channels used are those from srcChannel on. */
  float[] src = {};

  int srcOff;
  int srcH;
  int srcW;
  int srcPitch;
  int srcChannel;
  int images;

  /** The channels summed over, and result channels of one group. */
  int channels;

  int results;

  /** The groups; each begins {@code channels} further in src and {@code results} in dst. */
  int groups;

  /** The grid, its steps through the source, and the taps. */
  int gridH;

  int gridW;
  int rowStep;
  int colStep;
  int[] tapRow = {};
  int[] tapCol = {};

  /** Weights [groups * results, taps, channels]. */
  float[] weights = {};

  int weightsOff;

  /** One value per result channel of all groups, or null. */
  float @Nullable [] bias;

  int biasOff;

  /** Results [images, dstH, dstW, dstPitch]: grid (u, v) is pixel (u * dstRow, v * dstCol). */
  float[] dst = {};

  int dstOff;
  int dstH;
  int dstW;
  int dstPitch;
  int dstRow;
  int dstCol;

  private int taps;
  private int[] tapPlane = {};
  private int[] tapShift = {};
  private int[] planePhase = {};
  private int[] planeCol = {};
  private int planes;
  private int lowest;
  private int highest;

  /** Computes all results. */
  void run(Parallel pool) {
    if (images == 0 || gridH == 0 || gridW == 0 || results == 0) {
      return;
    }
    plan();
    int pixels = gridH * gridW;
    int group = Math.max(1, PanelGemm.WIDTH / pixels);
    // As many images as fit are chosen to fill whole panels; large images are cut into bands.
    int band = Math.min(gridH, Math.max(1, CHUNK_PIXELS / gridW));
    int bands = (gridH + band - 1) / band;
    int height = (gridH + bands - 1) / bands;
    int batches = (images + group - 1) / group;
    pool.run(
        groups * batches * bands,
        t -> {
          int g = t / (batches * bands);
          int i0 = t / bands % batches * group;
          int u0 = t % bands * height;
          chunk(g, i0, Math.min(group, images - i0), u0, Math.min(height, gridH - u0));
        });
  }

  /** Finds the distinct planes: one per column shift and phase of rows that a tap uses. */
  private void plan() {
    taps = tapRow.length;
    tapPlane = new int[taps];
    tapShift = new int[taps];
    planePhase = new int[taps];
    planeCol = new int[taps];
    lowest = Integer.MAX_VALUE;
    highest = Integer.MIN_VALUE;
    for (int t = 0; t < taps; t++) {
      int phase = Math.floorMod(tapRow[t], rowStep);
      tapShift[t] = Math.floorDiv(tapRow[t], rowStep);
      lowest = Math.min(lowest, tapShift[t]);
      highest = Math.max(highest, tapShift[t]);
      int d = 0;
      while (d < planes && (planePhase[d] != phase || planeCol[d] != tapCol[t])) {
        d++;
      }
      if (d == planes) {
        planePhase[d] = phase;
        planeCol[d] = tapCol[t];
        planes++;
      }
      tapPlane[t] = d;
    }
  }

  private void chunk(int g, int i0, int count, int u0, int height) {
    PanelGemm engine = PanelGemm.take();
    int depth = taps * channels;
    int planeRows = taps == 0 ? 0 : height + highest - lowest;
    int plane = planeRows * gridW;
    int channelPitch = count * plane;
    float[] buffer = engine.buffer(planes * channels * channelPitch);
    for (int d = 0; d < planes; d++) {
      int same = sibling(d);
      int by = same < 0 ? gridW : planeCol[d] - planeCol[same];
      if (same >= 0) {
        shift(buffer, d, same, by, channelPitch);
      }
      // Without a sibling all columns are gathered, otherwise those the copy could not give.
      int from = by > 0 ? gridW - by : 0;
      int to = by > 0 ? gridW : -by;
      for (int i = 0; i < count; i++) {
        for (int q = 0; q < planeRows; q++) {
          int r = (u0 + lowest + q) * rowStep + planePhase[d];
          int at = d * channels * channelPitch + i * plane + q * gridW;
          gather(buffer, at, channelPitch, g, i0 + i, r, planeCol[d], from, to);
        }
      }
    }
    int per = height * gridW;
    PanelGemm.Columns source =
        (rows, k0, kc, j0, nb) -> {
          for (int p = 0; p < kc; p++) {
            int t = (k0 + p) / channels;
            int ch = (k0 + p) - t * channels;
            int from =
                (tapPlane[t] * channels + ch) * channelPitch + (tapShift[t] - lowest) * gridW;
            float[] row = rows[p];
            int j = j0;
            while (j < j0 + nb) {
              int i = j / per;
              int end = Math.min(j0 + nb, (i + 1) * per);
              System.arraycopy(buffer, from + i * plane + j - i * per, row, j - j0, end - j);
              j = end;
            }
          }
        };
    int columns = count * per;
    int panels = (columns + PanelGemm.WIDTH - 1) / PanelGemm.WIDTH;
    int width = ((columns + panels - 1) / panels + 7) / 8 * 8;
    for (int j0 = 0; j0 < columns; j0 += width) {
      int nb = Math.min(width, columns - j0);
      for (int m0 = 0; m0 < results; m0 += PanelGemm.MAX_ROWS) {
        int rows = Math.min(PanelGemm.MAX_ROWS, results - m0);
        int m = g * results + m0;
        float[][] acc = engine.rows(rows);
        for (int i = 0; i < rows; i++) {
          Arrays.fill(acc[i], 0, nb, bias == null ? 0f : bias[biasOff + m + i]);
        }
        engine.multiply(rows, depth, weights, weightsOff + m * depth, depth, 1, source, j0, nb);
        store(acc, rows, m, i0, u0, per, j0, nb);
      }
    }
    PanelGemm.give(engine);
  }

  /** Returns an earlier plane that holds the same rows one or more columns away, or -1. */
  private int sibling(int d) {
    for (int e = 0; e < d && colStep == 1; e++) {
      if (planePhase[e] == planePhase[d] && Math.abs(planeCol[e] - planeCol[d]) < gridW) {
        return e;
      }
    }
    return -1;
  }

  /** Makes plane {@code d} from plane {@code e}, {@code by} columns away, by one long copy. */
  private void shift(float[] buffer, int d, int e, int by, int channelPitch) {
    for (int ch = 0; ch < channels; ch++) {
      int to = (d * channels + ch) * channelPitch;
      int from = (e * channels + ch) * channelPitch;
      int length = channelPitch - Math.abs(by);
      System.arraycopy(buffer, from + Math.max(by, 0), buffer, to + Math.max(-by, 0), length);
    }
  }

  /**
   * Writes grid columns {@code v0 .. v1 - 1} of one row of every channel of a plane: source row r,
   * source columns {@code v * colStep + shift}, zeros outside the source.
   */
  private void gather(
      float[] to, int at, int pitch, int g, int image, int r, int shift, int v0, int v1) {
    int first = shift >= 0 ? 0 : (-shift + colStep - 1) / colStep;
    int last = shift >= srcW ? 0 : (srcW - 1 - shift) / colStep + 1;
    first = Math.max(v0, Math.min(v1, first));
    last = Math.max(first, Math.min(v1, last));
    if (r < 0 || r >= srcH) {
      first = v1;
      last = v1;
    }
    if (first > v0 || last < v1) {
      for (int p = at; p < at + channels * pitch; p += pitch) {
        zero(to, p + v0, p + first);
        zero(to, p + last, p + v1);
      }
    }
    if (first == last) {
      return;
    }
    int base =
        srcOff
            + ((image * srcH + r) * srcW + first * colStep + shift) * srcPitch
            + srcChannel
            + g * channels;
    int step = colStep * srcPitch;
    int ch = 0;
    for (; ch + 8 <= channels; ch += 8) {
      int from = base + ch;
      int p0 = at + ch * pitch;
      int p1 = p0 + pitch;
      int p2 = p1 + pitch;
      int p3 = p2 + pitch;
      int p4 = p3 + pitch;
      int p5 = p4 + pitch;
      int p6 = p5 + pitch;
      int p7 = p6 + pitch;
      for (int v = first; v < last; v++) {
        to[p0 + v] = src[from];
        to[p1 + v] = src[from + 1];
        to[p2 + v] = src[from + 2];
        to[p3 + v] = src[from + 3];
        to[p4 + v] = src[from + 4];
        to[p5 + v] = src[from + 5];
        to[p6 + v] = src[from + 6];
        to[p7 + v] = src[from + 7];
        from += step;
      }
    }
    for (; ch < channels; ch++) {
      int from = base + ch;
      int p = at + ch * pitch;
      for (int v = first; v < last; v++) {
        to[p + v] = src[from];
        from += step;
      }
    }
  }

  /** Mostly a single value or none: cheaper than a call of Arrays.fill. */
  private static void zero(float[] to, int from, int end) {
    for (int i = from; i < end; i++) {
      to[i] = 0f;
    }
  }

  /** Writes the results of a panel to their pixels. */
  private void store(float[][] acc, int rows, int m, int i0, int u0, int per, int j0, int nb) {
    boolean dense = dstRow == 1 && dstCol == 1 && gridW == dstW && per == dstH * dstW;
    int j = j0;
    while (j < j0 + nb) {
      int i = j / per;
      int u = (j - i * per) / gridW;
      int v = j - i * per - u * gridW;
      // Rows of a grid that covers whole images follow each other without gaps.
      int end = dense ? j0 + nb : Math.min(j0 + nb, j - v + gridW);
      int pixel = ((i0 + i) * dstH + (u0 + u) * dstRow) * dstW + v * dstCol;
      int z = dstOff + pixel * dstPitch + m;
      Sgemm.scatter(acc, rows, j - j0, end - j, dst, z, dstCol * dstPitch);
      j = end;
    }
  }
}
