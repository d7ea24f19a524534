package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;

import io.gradus.backend.Buffer;

/** Cumulative sums along the middle axis of [outer, n, inner]; floats sum in float64. */
final class ScanKernels {
  /** Neighbouring lines that one task walks along together. */
  private static final int LINES = 256;

  private final Object x;
  private final int xAt;
  private final Object y;
  private final int yAt;
  private final int n;
  private final int inner;
  private final boolean reverse;

  ScanKernels(Buffer x, Buffer y, long n, long inner, boolean reverse) {
    this.x = array(x);
    this.xAt = at(x);
    this.y = array(y);
    this.yAt = at(y);
    this.n = Math.toIntExact(n);
    this.inner = Math.toIntExact(inner);
    this.reverse = reverse;
  }

  void run(Parallel pool, long outer) {
    int blocks = (inner + LINES - 1) / LINES;
    pool.range(
        outer * blocks,
        Math.max(1, HeapArrays.GRAIN / Math.max(1, (long) n * Math.min(inner, LINES))),
        (from, to) -> {
          for (int i = from; i < to; i++) {
            int first = i % blocks * LINES;
            lines(i / blocks * n * inner + first, Math.min(LINES, inner - first));
          }
        });
  }

  private void lines(int first, int width) {
    int start = reverse ? first + (n - 1) * inner : first;
    int step = reverse ? -inner : inner;
    if (x instanceof float[] in && y instanceof float[] out) {
      floats(in, xAt + start, out, yAt + start, step, width);
    } else if (x instanceof double[] in && y instanceof double[] out) {
      doubles(in, xAt + start, out, yAt + start, step, width);
    } else if (x instanceof long[] in && y instanceof long[] out) {
      longs(in, xAt + start, out, yAt + start, step, width);
    }
  }

  private void floats(float[] in, int inAt, float[] out, int outAt, int step, int width) {
    double[] sums = new double[width];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < width; j++) {
        sums[j] += in[inAt + i * step + j];
        out[outAt + i * step + j] = (float) sums[j];
      }
    }
  }

  private void doubles(double[] in, int inAt, double[] out, int outAt, int step, int width) {
    double[] sums = new double[width];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < width; j++) {
        sums[j] += in[inAt + i * step + j];
        out[outAt + i * step + j] = sums[j];
      }
    }
  }

  private void longs(long[] in, int inAt, long[] out, int outAt, int step, int width) {
    long[] sums = new long[width];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < width; j++) {
        sums[j] += in[inAt + i * step + j];
        out[outAt + i * step + j] = sums[j];
      }
    }
  }
}
