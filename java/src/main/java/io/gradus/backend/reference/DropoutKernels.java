package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import io.gradus.backend.DropoutMask;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Dropout in float32; {@link DropoutMask} says which bits decide. */
final class DropoutKernels {
  private static final long M0 = 0xD2511F53L;
  private static final long M1 = 0xCD9E8D57L;
  private static final int W0 = 0x9E3779B9;
  private static final int W1 = 0xBB67AE85;
  private static final int ROUNDS = 10;
  private static final long LOW = 0xFFFFFFFFL;
  private static final int BLOCK = 8;
  private static final int BLOCKS_PER_TASK = 1 << 11;

  private final long seed;
  private final long counter;
  private final int threshold;
  private final float scale;

  DropoutKernels(Buffer rng, long stream, double p) {
    long[] state = HeapArrays.longs(rng);
    int at = HeapArrays.at(rng);
    this.seed = state[at];
    this.counter = state[at + 1] + stream;
    this.threshold = DropoutMask.threshold(p);
    this.scale = (float) DropoutMask.scale(p);
  }

  void elements(Parallel pool, float[] x, int xAt, float[] y, int yAt, int n) {
    int whole = n / BLOCK;
    pool.range(whole, BLOCKS_PER_TASK, (from, to) -> blocks(x, xAt, y, yAt, from, to));
    int left = n - whole * BLOCK;
    if (left > 0) {
      float[] in = Arrays.copyOf(Arrays.copyOfRange(x, xAt + whole * BLOCK, xAt + n), BLOCK);
      float[] out = new float[BLOCK];
      blocks(in, -whole * BLOCK, out, -whole * BLOCK, whole, whole + 1);
      System.arraycopy(out, 0, y, yAt + whole * BLOCK, left);
    }
  }

  /** y = dropout(x + bias) + residual, in pieces that stay in the cache. */
  void biasResidual(
      Parallel pool,
      Buffer x,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      int cols) {
    int n = HeapArrays.length(x);
    pool.range(
        (n + BLOCK - 1) / BLOCK,
        BLOCKS_PER_TASK,
        (from, to) -> {
          int first = from * BLOCK;
          int count = Math.min(n, to * BLOCK) - first;
          float[] piece = new float[(to - from) * BLOCK];
          System.arraycopy(floats(x), at(x) + first, piece, 0, count);
          if (bias != null) {
            addRepeated(floats(bias), at(bias), cols, piece, first, count);
          }
          blocks(piece, -first, piece, -first, from, to);
          if (residual != null) {
            float[] other = floats(residual);
            int otherAt = at(residual) + first;
            for (int j = 0; j < count; j++) {
              piece[j] += other[otherAt + j];
            }
          }
          System.arraycopy(piece, 0, floats(y), at(y) + first, count);
        });
  }

  /** Adds a row to a piece of a matrix that starts at element {@code first} of it. */
  private static void addRepeated(
      float[] row, int rowAt, int cols, float[] piece, int first, int count) {
    int col = first % cols;
    for (int j = 0; j < count; ) {
      int run = Math.min(cols - col, count - j);
      for (int k = 0; k < run; k++) {
        piece[j + k] += row[rowAt + col + k];
      }
      j += run;
      col = 0;
    }
  }

  void channels(
      Parallel pool,
      float[] x,
      int xAt,
      float[] y,
      int yAt,
      int samples,
      int positions,
      int channels) {
    float[] factors = new float[Math.multiplyExact(samples, channels)];
    float[] ones = new float[factors.length];
    Arrays.fill(ones, 1);
    elements(pool, ones, 0, factors, 0, factors.length);
    pool.range(
        Math.multiplyExact(samples, positions),
        Math.max(1, HeapArrays.GRAIN / Math.max(1, channels)),
        (from, to) -> {
          for (int row = from; row < to; row++) {
            int at = row * channels;
            select(x, xAt + at, factors, row / positions * channels, y, yAt + at, channels);
          }
        });
  }

  /** A product would make NaN of a dropped infinity. */
  private static void select(
      float[] x, int xAt, float[] factors, int factorsAt, float[] y, int yAt, int n) {
    for (int j = 0; j < n; j++) {
      float factor = factors[factorsAt + j];
      y[yAt + j] = factor == 0 ? 0 : x[xAt + j] * factor;
    }
  }

  /** Philox as in {@link io.gradus.backend.Philox#block}, with all its words in registers. */
  private void blocks(float[] x, int xAt, float[] y, int yAt, int from, int to) {
    int last = threshold - 1;
    float factor = scale;
    for (int block = from; block < to; block++) {
      int c0 = block;
      int c1 = 0;
      int c2 = (int) counter;
      int c3 = (int) (counter >>> 32);
      int k0 = (int) seed;
      int k1 = (int) (seed >>> 32);
      for (int round = 0; round < ROUNDS; round++) {
        long p0 = M0 * (c0 & LOW);
        long p1 = M1 * (c2 & LOW);
        c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
        c1 = (int) p1;
        c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
        c3 = (int) p0;
        k0 += W0;
        k1 += W1;
      }
      int i = xAt + block * BLOCK;
      int o = yAt + block * BLOCK;
      y[o] = keep(last - (c0 & 0xFFFF), x[i] * factor);
      y[o + 1] = keep(last - (c0 >>> 16), x[i + 1] * factor);
      y[o + 2] = keep(last - (c1 & 0xFFFF), x[i + 2] * factor);
      y[o + 3] = keep(last - (c1 >>> 16), x[i + 3] * factor);
      y[o + 4] = keep(last - (c2 & 0xFFFF), x[i + 4] * factor);
      y[o + 5] = keep(last - (c2 >>> 16), x[i + 5] * factor);
      y[o + 6] = keep(last - (c3 & 0xFFFF), x[i + 6] * factor);
      y[o + 7] = keep(last - (c3 >>> 16), x[i + 7] * factor);
    }
  }

  /**
   * The value where the difference is negative, else 0: a branch here is mispredicted too often.
   */
  private static float keep(int difference, float value) {
    return Float.intBitsToFloat(Float.floatToRawIntBits(value) & (difference >> 31));
  }
}
