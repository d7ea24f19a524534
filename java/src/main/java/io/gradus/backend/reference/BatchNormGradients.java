package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The backward of batch normalisation in float32: one pass for the sums over rows, one for the
 * gradient of x. The mask of RELU is read from the output's sign.
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
      long rows,
      long channels,
      boolean training) {
    BatchNormGradients pass = new BatchNormGradients(gradY, x, y, mean, rows, channels);
    if (gradWeight != null || gradBias != null || (training && gradX != null)) {
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
      pass.apply(pool, invStd, weight, gradX, gradResidual, training ? rows : 0);
    }
  }

  private void reduce(Parallel pool) {
    int channels = cut.channels;
    double[][] parts = new double[cut.tasks][];
    pool.run(
        cut.tasks,
        task -> {
          double[] part = new double[2 * channels];
          float[] masked = new float[cut.width];
          float[] sum = new float[cut.width];
          float[] product = new float[cut.width];
          cut.forEachBlock(
              task,
              (at, n, width) -> {
                Arrays.fill(sum, 0, width, 0);
                Arrays.fill(product, 0, width, 0);
                for (int i = 0; i < n; i++) {
                  int row = at + i * width;
                  if (y == null) {
                    add(g, gAt + row, x, xAt + row, center, sum, product, width);
                  } else {
                    mask(g, gAt + row, y, yAt + row, masked, 0, width);
                    add(masked, 0, x, xAt + row, center, sum, product, width);
                  }
                }
                for (int first = 0; first < width; first += channels) {
                  for (int c = 0; c < channels; c++) {
                    part[c] += sum[first + c];
                    part[channels + c] += product[first + c];
                  }
                }
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
          float[] buffer = new float[cut.width];
          cut.forEachBlock(
              task,
              (at, n, width) -> {
                for (int i = 0; i < n; i++) {
                  int row = at + i * width;
                  float[] in = g;
                  int inAt = gAt + row;
                  if (y != null) {
                    float[] masked = residual == null ? buffer : residual;
                    int maskedAt = residual == null ? 0 : residualAt + row;
                    mask(g, inAt, y, yAt + row, masked, maskedAt, width);
                    in = masked;
                    inAt = maskedAt;
                  } else if (residual != null) {
                    System.arraycopy(g, inAt, residual, residualAt + row, width);
                  }
                  if (target != null) {
                    int out = targetAt + row;
                    gradient(
                        in, inAt, x, xAt + row, center, scale, level, slope, target, out, width);
                  }
                }
              });
        });
  }

  /**
   * g where y is positive or NaN, else 0; y is never negative. A branch would be mispredicted half
   * of the time and is not vectorised: instead the sign of minus the bits of y, which is set but
   * for y = 0, masks the bits of g.
   */
  private static void mask(float[] g, int gAt, float[] y, int yAt, float[] out, int outAt, int n) {
    for (int j = 0; j < n; j++) {
      int keep = -Float.floatToRawIntBits(y[yAt + j]) >> 31;
      out[outAt + j] = Float.intBitsToFloat(Float.floatToRawIntBits(g[gAt + j]) & keep);
    }
  }

  private static void add(
      float[] g, int gAt, float[] x, int xAt, float[] center, float[] sum, float[] product, int n) {
    for (int j = 0; j < n; j++) {
      float value = g[gAt + j];
      sum[j] += value;
      product[j] += value * (x[xAt + j] - center[j]);
    }
  }

  private static void gradient(
      float[] g,
      int gAt,
      float[] x,
      int xAt,
      float[] center,
      float[] scale,
      float[] level,
      float[] slope,
      float[] out,
      int outAt,
      int n) {
    for (int j = 0; j < n; j++) {
      float along = (x[xAt + j] - center[j]) * slope[j];
      out[outAt + j] = (g[gAt + j] - level[j] - along) * scale[j];
    }
  }
}
