package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.BatchNormShape;
import io.gradus.backend.Buffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The backward of batch normalisation in float32: one pass for the sums over rows, one for the
 * gradient of x. The mask of RELU is read from the output. Rows are worked on in small copies for
 * the reason given at {@link BatchNormKernels}.
 */
final class BatchNormGradients {
  private final float[] g;
  private final int gAt;
  private final float[] x;
  private final int xAt;
  private final float @Nullable [] y;
  private final int yAt;
  private final ChannelRows cut;
  private final float[] center;

  /** Sums of g and of g (x - mean) over rows. */
  private final double[] sums;

  private final double[] products;

  private BatchNormGradients(
      Buffer gradY, Buffer x, @Nullable Buffer y, Buffer mean, long rows, long channels) {
    this.g = floats(gradY);
    this.gAt = at(gradY);
    this.x = floats(x);
    this.xAt = at(x);
    this.y = y == null ? null : floats(y);
    this.yAt = y == null ? 0 : at(y);
    this.cut = new ChannelRows(rows, channels);
    this.center = cut.wide(mean, 0);
    this.sums = new double[cut.channels];
    this.products = new double[cut.channels];
  }

  static void backward(
      Parallel pool,
      Buffer gradY,
      Buffer x,
      @Nullable Buffer y,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      @Nullable Buffer gradResidual,
      BatchNormShape shape) {
    BatchNormGradients pass =
        new BatchNormGradients(gradY, x, y, mean, shape.rows(), shape.channels());
    if (gradWeight != null || gradBias != null || (shape.training() && gradX != null)) {
      pass.reduce(pool);
    }
    float[] inverse = floats(invStd);
    for (int c = 0; c < pass.cut.channels; c++) {
      if (gradWeight != null) {
        double sum = pass.products[c] * inverse[at(invStd) + c];
        floats(gradWeight)[at(gradWeight) + c] = (float) sum;
      }
      if (gradBias != null) {
        floats(gradBias)[at(gradBias) + c] = (float) pass.sums[c];
      }
    }
    if (gradX != null || gradResidual != null) {
      pass.apply(pool, invStd, weight, gradX, gradResidual, shape.training() ? shape.rows() : 0);
    }
  }

  private void reduce(Parallel pool) {
    int channels = cut.channels;
    double[][] parts = new double[cut.tasks][];
    pool.run(
        cut.tasks,
        task -> {
          double[] part = new double[2 * channels];
          float[] sum = new float[cut.width];
          float[] product = new float[cut.width];
          Copies copy = new Copies(cut.width);
          cut.forEachBlock(
              task,
              (at, n, width) -> {
                Arrays.fill(sum, 0, width, 0);
                Arrays.fill(product, 0, width, 0);
                for (int i = at; i < at + n * width; i += width) {
                  load(copy, i, width);
                  if (y == null) {
                    add(copy.g, copy.x, center, sum, product, width);
                  } else {
                    addMasked(copy.g, copy.y, copy.x, center, sum, product, width);
                  }
                }
                cut.fold(sum, width, part, 0);
                cut.fold(product, width, part, channels);
              });
          parts[task] = part;
        });
    for (double[] part : parts) {
      for (int c = 0; c < channels; c++) {
        sums[c] += part[c];
        products[c] += part[channels + c];
      }
    }
  }

  /** {@code rows} is 0 where the statistics do not depend on x. */
  private void apply(
      Parallel pool,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradResidual,
      long rows) {
    float[] scale = cut.wide(invStd, 1);
    float[] w = cut.wide(weight, 1);
    float[] level = new float[cut.width];
    float[] slope = new float[cut.width];
    for (int c = 0; c < cut.channels && rows > 0; c++) {
      level[c] = (float) (sums[c] / rows);
      slope[c] = (float) (products[c] * scale[c] * scale[c] / rows);
    }
    cut.repeat(level);
    cut.repeat(slope);
    for (int j = 0; j < scale.length; j++) {
      scale[j] *= w[j];
    }
    float @Nullable [] target = gradX == null ? null : floats(gradX);
    int targetAt = gradX == null ? 0 : at(gradX);
    float @Nullable [] residual = gradResidual == null ? null : floats(gradResidual);
    int residualAt = gradResidual == null ? 0 : at(gradResidual);
    pool.run(
        cut.tasks,
        task -> {
          Copies copy = new Copies(cut.width);
          cut.forEachBlock(
              task,
              (at, n, width) -> {
                for (int i = at; i < at + n * width; i += width) {
                  load(copy, i, width);
                  if (y != null) {
                    mask(copy.g, copy.y, width);
                  }
                  gradient(copy.g, copy.x, center, scale, level, slope, width);
                  if (residual != null) {
                    System.arraycopy(copy.g, 0, residual, residualAt + i, width);
                  }
                  if (target != null) {
                    System.arraycopy(copy.x, 0, target, targetAt + i, width);
                  }
                }
              });
        });
  }

  /** Copies of a wide row of each operand. */
  private static final class Copies {
    final float[] g;
    final float[] x;
    final float[] y;

    Copies(int width) {
      g = new float[width];
      x = new float[width];
      y = new float[width];
    }
  }

  private void load(Copies copy, int at, int width) {
    System.arraycopy(g, gAt + at, copy.g, 0, width);
    System.arraycopy(x, xAt + at, copy.x, 0, width);
    if (y != null) {
      System.arraycopy(y, yAt + at, copy.y, 0, width);
    }
  }

  private static void add(
      float[] g, float[] x, float[] center, float[] sum, float[] product, int n) {
    for (int j = 0; j < n; j++) {
      float value = g[j];
      sum[j] += value;
      product[j] += value * (x[j] - center[j]);
    }
  }

  private static void addMasked(
      float[] g, float[] y, float[] x, float[] center, float[] sum, float[] product, int n) {
    for (int j = 0; j < n; j++) {
      float value = g[j] * step(y[j]);
      sum[j] += value;
      product[j] += value * (x[j] - center[j]);
    }
  }

  /** Turns x into its gradient. */
  private static void gradient(
      float[] g, float[] x, float[] center, float[] scale, float[] level, float[] slope, int n) {
    for (int j = 0; j < n; j++) {
      float along = (x[j] - center[j]) * slope[j];
      x[j] = (g[j] - level[j] - along) * scale[j];
    }
  }

  /** A loop of its own: C2 leaves the gradient scalar with a second array to store to. */
  private static void mask(float[] g, float[] y, int n) {
    for (int j = 0; j < n; j++) {
      g[j] *= step(y[j]);
    }
  }

  /**
   * The derivative of RELU from its output: 1 where y is positive, 0 where it is 0; NaN for NaN. A
   * branch is not vectorised, and neither are operations on the bits of a float. The product is 0
   * or at least 1 even for the smallest positive y. Where y is 0, an infinite g gives NaN.
   */
  private static float step(float y) {
    return Math.min(1f, y * 1e30f * 1e30f);
  }
}
