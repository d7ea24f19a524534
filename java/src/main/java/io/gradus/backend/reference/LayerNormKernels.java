package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import io.gradus.backend.RowNormShape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Layer normalisation in float32, a row at a time. */
final class LayerNormKernels {
  private static final int TASKS = 64;

  private LayerNormKernels() {}

  static void forward(
      Parallel pool,
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd,
      RowNormShape shape) {
    int n = Math.toIntExact(shape.cols());
    float[] scale = orElse(weight, n, 1);
    float[] shift = orElse(bias, n, 0);
    float[] in = floats(x);
    float[] out = floats(y);
    float[] means = floats(mean);
    float[] inverses = floats(invStd);
    pool.range(
        shape.rows(),
        Math.max(1, HeapArrays.GRAIN / n),
        (from, to) -> {
          for (int row = from; row < to; row++) {
            int first = at(x) + row * n;
            double average = FloatSums.row(in, first, n) / n;
            double variance = squares(in, first, average, n) / n;
            float center = (float) average;
            float inverse = (float) (1 / Math.sqrt(variance + shape.eps()));
            means[at(mean) + row] = center;
            inverses[at(invStd) + row] = inverse;
            normalise(in, first, center, inverse, scale, shift, out, at(y) + row * n, n);
          }
        });
  }

  static float[] orElse(@Nullable Buffer values, int n, float absent) {
    if (values != null) {
      return Arrays.copyOfRange(floats(values), at(values), at(values) + n);
    }
    float[] out = new float[n];
    Arrays.fill(out, absent);
    return out;
  }

  static double squares(float[] x, int at, double center, int n) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    int i = 0;
    for (; i <= n - 4; i += 4) {
      double d0 = x[at + i] - center;
      double d1 = x[at + i + 1] - center;
      double d2 = x[at + i + 2] - center;
      double d3 = x[at + i + 3] - center;
      s0 += d0 * d0;
      s1 += d1 * d1;
      s2 += d2 * d2;
      s3 += d3 * d3;
    }
    for (; i < n; i++) {
      double d = x[at + i] - center;
      s0 += d * d;
    }
    return (s0 + s1) + (s2 + s3);
  }

  private static void normalise(
      float[] x,
      int xAt,
      float center,
      float inverse,
      float[] scale,
      float[] shift,
      float[] y,
      int yAt,
      int n) {
    for (int j = 0; j < n; j++) {
      y[yAt + j] = (x[xAt + j] - center) * inverse * scale[j] + shift[j];
    }
  }

  static void backward(
      Parallel pool,
      Buffer gradY,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      RowNormShape shape) {
    int n = Math.toIntExact(shape.cols());
    int count = Math.toIntExact(shape.rows());
    int tasks = (int) Math.max(1, Math.min(TASKS, shape.rows() * shape.cols() / HeapArrays.GRAIN));
    float[] scale = orElse(weight, n, 1);
    float[] g = floats(gradY);
    float[] in = floats(x);
    double[][] parts = new double[tasks][];
    pool.run(
        tasks,
        task -> {
          double[] part = new double[2 * n];
          float[] normal = new float[n];
          float[] h = new float[n];
          int to = (int) ((long) count * (task + 1) / tasks);
          for (int row = (int) ((long) count * task / tasks); row < to; row++) {
            int gAt = at(gradY) + row * n;
            int xAt = at(x) + row * n;
            float center = floats(mean)[at(mean) + row];
            float inverse = floats(invStd)[at(invStd) + row];
            for (int j = 0; j < n; j++) {
              normal[j] = (in[xAt + j] - center) * inverse;
            }
            if (gradWeight != null || gradBias != null) {
              for (int j = 0; j < n; j++) {
                part[j] += g[gAt + j] * normal[j];
                part[n + j] += g[gAt + j];
              }
            }
            if (gradX != null) {
              for (int j = 0; j < n; j++) {
                h[j] = g[gAt + j] * scale[j];
              }
              float level = (float) (FloatSums.row(h, 0, n) / n);
              float slope = (float) (dot(h, normal, n) / n);
              gradient(h, normal, level, slope, inverse, floats(gradX), at(gradX) + row * n, n);
            }
          }
          parts[task] = part;
        });
    store(parts, 0, n, gradWeight);
    store(parts, n, n, gradBias);
  }

  static double dot(float[] a, float[] b, int n) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    int i = 0;
    for (; i <= n - 4; i += 4) {
      s0 += (double) a[i] * b[i];
      s1 += (double) a[i + 1] * b[i + 1];
      s2 += (double) a[i + 2] * b[i + 2];
      s3 += (double) a[i + 3] * b[i + 3];
    }
    for (; i < n; i++) {
      s0 += (double) a[i] * b[i];
    }
    return (s0 + s1) + (s2 + s3);
  }

  static void gradient(
      float[] h,
      float[] normal,
      float level,
      float slope,
      float inverse,
      float[] out,
      int outAt,
      int n) {
    for (int j = 0; j < n; j++) {
      out[outAt + j] = (h[j] - level - normal[j] * slope) * inverse;
    }
  }

  /** The sum of the tasks' parts, in their order. */
  static void store(double[][] parts, int first, int n, @Nullable Buffer target) {
    if (target == null) {
      return;
    }
    float[] out = floats(target);
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (double[] part : parts) {
        sum += part[first + j];
      }
      out[at(target) + j] = (float) sum;
    }
  }
}
