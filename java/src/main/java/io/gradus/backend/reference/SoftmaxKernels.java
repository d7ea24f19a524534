package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import java.util.function.IntConsumer;

/** Softmax of the rows of a float32 matrix; sums are formed in float64. */
final class SoftmaxKernels {
  /** Exponentials cost more than other arithmetic, so fewer of them are worth a thread. */
  private static final int GRAIN = HeapArrays.GRAIN / 8;

  private SoftmaxKernels() {}

  static void rows(Parallel pool, long rows, long cols, IntConsumer body) {
    pool.range(
        rows,
        Math.max(1, GRAIN / Math.max(1, cols)),
        (from, to) -> {
          for (int row = from; row < to; row++) {
            body.accept(row);
          }
        });
  }

  /** The largest of a row, NaN if any is; 0 where all are minus infinity. */
  static float shift(float[] x, int at, int n) {
    float max = Float.NEGATIVE_INFINITY;
    for (int j = 0; j < n; j++) {
      max = Math.max(max, x[at + j]);
    }
    return max == Float.NEGATIVE_INFINITY ? 0 : max;
  }

  /** The sum of exp(x - shift). */
  static double sumOfExponentials(float[] x, int at, float shift, int n) {
    double sum = 0;
    for (int j = 0; j < n; j++) {
      sum += Math.exp(x[at + j] - shift);
    }
    return sum;
  }

  static void softmax(Buffer x, Buffer y, int row, int n) {
    float[] in = floats(x);
    float[] out = floats(y);
    int xAt = at(x) + row * n;
    int yAt = at(y) + row * n;
    float shift = shift(in, xAt, n);
    double sum = 0;
    for (int j = 0; j < n; j++) {
      double e = Math.exp(in[xAt + j] - shift);
      sum += e;
      out[yAt + j] = (float) e;
    }
    float inverse = sum == 0 ? 1 : (float) (1 / sum);
    for (int j = 0; j < n; j++) {
      out[yAt + j] *= inverse;
    }
  }

  static void logSoftmax(Buffer x, Buffer y, int row, int n) {
    float[] in = floats(x);
    float[] out = floats(y);
    int xAt = at(x) + row * n;
    int yAt = at(y) + row * n;
    float shift = shift(in, xAt, n);
    double sum = sumOfExponentials(in, xAt, shift, n);
    float log = sum == 0 ? 0 : (float) Math.log(sum);
    for (int j = 0; j < n; j++) {
      out[yAt + j] = in[xAt + j] - shift - log;
    }
  }

  static void softmaxGradient(Buffer gradY, Buffer y, Buffer gradX, int row, int n) {
    float[] g = floats(gradY);
    float[] p = floats(y);
    float[] out = floats(gradX);
    int gAt = at(gradY) + row * n;
    int pAt = at(y) + row * n;
    int outAt = at(gradX) + row * n;
    double sum = 0;
    for (int j = 0; j < n; j++) {
      sum += (double) g[gAt + j] * p[pAt + j];
    }
    float dot = (float) sum;
    for (int j = 0; j < n; j++) {
      out[outAt + j] = p[pAt + j] * (g[gAt + j] - dot);
    }
  }

  static void logSoftmaxGradient(Buffer gradY, Buffer y, Buffer gradX, int row, int n) {
    float[] g = floats(gradY);
    float[] log = floats(y);
    float[] out = floats(gradX);
    int gAt = at(gradY) + row * n;
    int yAt = at(y) + row * n;
    int outAt = at(gradX) + row * n;
    double sum = FloatSums.row(g, gAt, n);
    for (int j = 0; j < n; j++) {
      out[outAt + j] = (float) (g[gAt + j] - Math.exp(log[yAt + j]) * sum);
    }
  }
}
