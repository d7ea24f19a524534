package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import io.gradus.backend.RowNormShape;
import org.jspecify.annotations.Nullable;

/** Root-mean-square normalisation in float32, a row at a time. */
final class RmsNormKernels {
  private static final int TASKS = 64;

  private RmsNormKernels() {}

  static void forward(
      Parallel pool,
      Buffer x,
      @Nullable Buffer weight,
      Buffer y,
      Buffer invRms,
      RowNormShape shape) {
    int n = Math.toIntExact(shape.cols());
    float[] scale = LayerNormKernels.orElse(weight, n, 1);
    float[] in = floats(x);
    float[] out = floats(y);
    float[] inverses = floats(invRms);
    pool.range(
        shape.rows(),
        Math.max(1, HeapArrays.GRAIN / n),
        (from, to) -> {
          for (int row = from; row < to; row++) {
            int first = at(x) + row * n;
            double meanSquare = LayerNormKernels.squares(in, first, 0, n) / n;
            float inverse = (float) (1 / Math.sqrt(meanSquare + shape.eps()));
            inverses[at(invRms) + row] = inverse;
            int target = at(y) + row * n;
            for (int j = 0; j < n; j++) {
              out[target + j] = in[first + j] * inverse * scale[j];
            }
          }
        });
  }

  static void backward(
      Parallel pool,
      Buffer gradY,
      Buffer x,
      Buffer invRms,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      RowNormShape shape) {
    int n = Math.toIntExact(shape.cols());
    int count = Math.toIntExact(shape.rows());
    int tasks = (int) Math.max(1, Math.min(TASKS, shape.rows() * shape.cols() / HeapArrays.GRAIN));
    float[] scale = LayerNormKernels.orElse(weight, n, 1);
    float[] g = floats(gradY);
    float[] in = floats(x);
    double[][] parts = new double[tasks][];
    pool.run(
        tasks,
        task -> {
          double[] part = new double[n];
          float[] normal = new float[n];
          float[] h = new float[n];
          int to = (int) ((long) count * (task + 1) / tasks);
          for (int row = (int) ((long) count * task / tasks); row < to; row++) {
            int gAt = at(gradY) + row * n;
            int xAt = at(x) + row * n;
            float inverse = floats(invRms)[at(invRms) + row];
            for (int j = 0; j < n; j++) {
              normal[j] = in[xAt + j] * inverse;
            }
            if (gradWeight != null) {
              for (int j = 0; j < n; j++) {
                part[j] += g[gAt + j] * normal[j];
              }
            }
            if (gradX != null) {
              for (int j = 0; j < n; j++) {
                h[j] = g[gAt + j] * scale[j];
              }
              float slope = (float) (LayerNormKernels.dot(h, normal, n) / n);
              LayerNormKernels.gradient(
                  h, normal, 0, slope, inverse, floats(gradX), at(gradX) + row * n, n);
            }
          }
          parts[task] = part;
        });
    LayerNormKernels.store(parts, 0, n, gradWeight);
  }
}
