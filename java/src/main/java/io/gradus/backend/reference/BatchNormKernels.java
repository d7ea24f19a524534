package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Activation;
import io.gradus.backend.Buffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** The forward of batch normalisation in float32. */
final class BatchNormKernels {
  private BatchNormKernels() {}

  /**
   * Mean and sum of squared distances of every channel. A block gives them in two passes while it
   * is in the cache, corrected for the rounding of its mean; blocks are joined pairwise.
   *
   * <p>Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.
   */
  private static final class Moments {
    private final int channels;
    final double[] mean;
    final double[] squares;
    private double count;

    Moments(int channels) {
      this.channels = channels;
      this.mean = new double[channels];
      this.squares = new double[channels];
    }

    /** Joins one value set per channel. */
    void join(double otherCount, double[] otherMean, double[] otherSquares, int otherAt) {
      double total = count + otherCount;
      double share = otherCount / total;
      double product = count * share;
      for (int c = 0; c < channels; c++) {
        double delta = otherMean[otherAt + c] - mean[c];
        mean[c] += delta * share;
        squares[c] += otherSquares[otherAt + c] + delta * delta * product;
      }
      count = total;
    }
  }

  /** Working space of one task. */
  private static final class Lanes {
    final float[] center;
    final float[] sum;
    final float[] squares;
    final double[] exactMean;
    final double[] exactSquares;

    Lanes(int width) {
      center = new float[width];
      sum = new float[width];
      squares = new float[width];
      exactMean = new double[width];
      exactSquares = new double[width];
    }
  }

  private static void addBlock(
      float[] x, int at, int rows, int width, Lanes lanes, Moments moments) {
    float[] center = lanes.center;
    Arrays.fill(center, 0, width, 0);
    for (int i = 0; i < rows; i++) {
      add(x, at + i * width, center, width);
    }
    float inverse = 1f / rows;
    for (int j = 0; j < width; j++) {
      center[j] *= inverse;
    }
    Arrays.fill(lanes.sum, 0, width, 0);
    Arrays.fill(lanes.squares, 0, width, 0);
    for (int i = 0; i < rows; i++) {
      addDistances(x, at + i * width, center, lanes.sum, lanes.squares, width);
    }
    for (int j = 0; j < width; j++) {
      double sum = lanes.sum[j];
      lanes.exactMean[j] = center[j] + sum / rows;
      lanes.exactSquares[j] = Math.max(0, lanes.squares[j] - sum * sum / rows);
    }
    for (int j = 0; j < width; j += moments.channels) {
      moments.join(rows, lanes.exactMean, lanes.exactSquares, j);
    }
  }

  private static void add(float[] x, int at, float[] sum, int n) {
    for (int j = 0; j < n; j++) {
      sum[j] += x[at + j];
    }
  }

  private static void addDistances(
      float[] x, int at, float[] center, float[] sum, float[] squares, int n) {
    for (int j = 0; j < n; j++) {
      float distance = x[at + j] - center[j];
      sum[j] += distance;
      squares[j] += distance * distance;
    }
  }

  static void statistics(
      Parallel pool,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      long rows,
      long channels,
      double momentum,
      double eps) {
    ChannelRows cut = new ChannelRows(rows, channels);
    Moments[] parts = new Moments[cut.tasks];
    float[] values = floats(x);
    int first = at(x);
    pool.run(
        cut.tasks,
        task -> {
          Moments part = new Moments(cut.channels);
          Lanes lanes = new Lanes(cut.width);
          cut.forEachBlock(
              task, (at, n, width) -> addBlock(values, first + at, n, width, lanes, part));
          parts[task] = part;
        });
    Moments all = parts[0];
    for (int i = 1; i < parts.length; i++) {
      all.join(parts[i].count, parts[i].mean, parts[i].squares, 0);
    }
    float[] means = floats(mean);
    float[] inverses = floats(invStd);
    for (int c = 0; c < cut.channels; c++) {
      means[at(mean) + c] = (float) all.mean[c];
      inverses[at(invStd) + c] = (float) (1 / Math.sqrt(all.squares[c] / rows + eps));
      if (runningMean != null) {
        average(floats(runningMean), at(runningMean) + c, all.mean[c], momentum);
      }
      if (runningVar != null) {
        average(floats(runningVar), at(runningVar) + c, all.squares[c] / (rows - 1), momentum);
      }
    }
  }

  private static void average(float[] running, int at, double batch, double momentum) {
    running[at] = (float) ((1 - momentum) * running[at] + momentum * batch);
  }

  static void apply(
      Parallel pool,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      long rows,
      long channels,
      Activation activation) {
    ChannelRows cut = new ChannelRows(rows, channels);
    float[] center = cut.wide(mean, 0);
    float[] scale = cut.wide(invStd, 1);
    float[] w = cut.wide(weight, 1);
    float[] shift = cut.wide(bias, 0);
    for (int j = 0; j < scale.length; j++) {
      scale[j] *= w[j];
    }
    float[] in = floats(x);
    float[] out = floats(y);
    int xAt = at(x);
    int yAt = at(y);
    boolean relu = activation == Activation.RELU;
    pool.run(
        cut.tasks,
        task ->
            cut.forEachBlock(
                task,
                (at, n, width) -> {
                  for (int i = 0; i < n; i++) {
                    int row = at + i * width;
                    normalise(in, xAt + row, center, scale, shift, out, yAt + row, width);
                    if (residual != null) {
                      addTo(out, yAt + row, floats(residual), at(residual) + row, width);
                    }
                    if (relu) {
                      relu(out, yAt + row, width);
                    }
                  }
                }));
  }

  private static void normalise(
      float[] x, int xAt, float[] center, float[] scale, float[] shift, float[] y, int yAt, int n) {
    for (int j = 0; j < n; j++) {
      y[yAt + j] = (x[xAt + j] - center[j]) * scale[j] + shift[j];
    }
  }

  private static void addTo(float[] y, int yAt, float[] x, int xAt, int n) {
    for (int j = 0; j < n; j++) {
      y[yAt + j] += x[xAt + j];
    }
  }

  private static void relu(float[] y, int at, int n) {
    for (int j = 0; j < n; j++) {
      y[at + j] = Math.max(y[at + j], 0f);
    }
  }
}
