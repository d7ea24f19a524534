package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Activation;
import io.gradus.backend.BatchNormShape;
import io.gradus.backend.Buffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The forward of batch normalisation in float32.
 *
 * <p>C2 of JDK 17 vectorises these loops only where all arrays are read and written at the same
 * plain index. Rows are therefore copied to small arrays that stay in the first-level cache, worked
 * on there by one loop, and copied back: twice as fast as loops with an offset for each array.
 */
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
    void join(double otherCount, double[] otherMean, double[] otherSquares) {
      double total = count + otherCount;
      double share = otherCount / total;
      double product = count * share;
      for (int c = 0; c < channels; c++) {
        double delta = otherMean[c] - mean[c];
        mean[c] += delta * share;
        squares[c] += otherSquares[c] + delta * delta * product;
      }
      count = total;
    }
  }

  /** Working space of one task: arrays of a wide row, and sums per channel. */
  private static final class Lanes {
    final ChannelRows cut;
    final float[] row;
    final float[] center;
    final float[] sum;
    final float[] squares;
    final double[] exactMean;
    final double[] exactSquares;

    Lanes(ChannelRows cut) {
      this.cut = cut;
      row = new float[cut.width];
      center = new float[cut.width];
      sum = new float[cut.width];
      squares = new float[cut.width];
      exactMean = new double[cut.channels];
      exactSquares = new double[cut.channels];
    }
  }

  private static void addBlock(
      float[] x, int at, int rows, int width, Lanes lanes, Moments moments) {
    ChannelRows cut = lanes.cut;
    float[] row = lanes.row;
    float[] sum = lanes.sum;
    Arrays.fill(sum, 0, width, 0);
    for (int i = 0; i < rows; i++) {
      System.arraycopy(x, at + i * width, row, 0, width);
      add(row, sum, width);
    }
    int count = rows * (width / cut.channels);
    Arrays.fill(lanes.exactMean, 0);
    cut.fold(sum, width, lanes.exactMean, 0);
    for (int c = 0; c < cut.channels; c++) {
      lanes.center[c] = (float) (lanes.exactMean[c] / count);
    }
    cut.repeat(lanes.center);
    Arrays.fill(sum, 0, width, 0);
    Arrays.fill(lanes.squares, 0, width, 0);
    for (int i = 0; i < rows; i++) {
      System.arraycopy(x, at + i * width, row, 0, width);
      addDistances(row, lanes.center, sum, lanes.squares, width);
    }
    Arrays.fill(lanes.exactMean, 0);
    Arrays.fill(lanes.exactSquares, 0);
    cut.fold(sum, width, lanes.exactMean, 0);
    cut.fold(lanes.squares, width, lanes.exactSquares, 0);
    for (int c = 0; c < cut.channels; c++) {
      double rest = lanes.exactMean[c] / count;
      lanes.exactSquares[c] = Math.max(0, lanes.exactSquares[c] - rest * rest * count);
      lanes.exactMean[c] = lanes.center[c] + rest;
    }
    moments.join(count, lanes.exactMean, lanes.exactSquares);
  }

  private static void add(float[] x, float[] sum, int n) {
    for (int j = 0; j < n; j++) {
      sum[j] += x[j];
    }
  }

  private static void addDistances(float[] x, float[] center, float[] sum, float[] squares, int n) {
    for (int j = 0; j < n; j++) {
      float distance = x[j] - center[j];
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
      BatchNormShape shape) {
    ChannelRows cut = new ChannelRows(shape.rows(), shape.channels());
    Moments[] parts = new Moments[cut.tasks];
    float[] values = floats(x);
    int first = at(x);
    pool.run(
        cut.tasks,
        task -> {
          Moments part = new Moments(cut.channels);
          Lanes lanes = new Lanes(cut);
          cut.forEachBlock(
              task, (at, n, width) -> addBlock(values, first + at, n, width, lanes, part));
          parts[task] = part;
        });
    Moments all = parts[0];
    for (int i = 1; i < parts.length; i++) {
      all.join(parts[i].count, parts[i].mean, parts[i].squares);
    }
    float[] means = floats(mean);
    float[] inverses = floats(invStd);
    for (int c = 0; c < cut.channels; c++) {
      means[at(mean) + c] = (float) all.mean[c];
      inverses[at(invStd) + c] =
          (float) (1 / Math.sqrt(all.squares[c] / shape.rows() + shape.eps()));
      if (runningMean != null) {
        average(floats(runningMean), at(runningMean) + c, all.mean[c], shape.momentum());
      }
      if (runningVar != null) {
        average(
            floats(runningVar),
            at(runningVar) + c,
            all.squares[c] / (shape.rows() - 1),
            shape.momentum());
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
      BatchNormShape shape) {
    ChannelRows cut = new ChannelRows(shape.rows(), shape.channels());
    float[] center = cut.wide(mean, 0);
    float[] scale = cut.wide(invStd, 1);
    float[] w = cut.wide(weight, 1);
    float[] shift = cut.wide(bias, 0);
    for (int j = 0; j < scale.length; j++) {
      scale[j] *= w[j];
    }
    float[] in = floats(x);
    float[] out = floats(y);
    float @Nullable [] add = residual == null ? null : floats(residual);
    int xAt = at(x);
    int yAt = at(y);
    int addAt = residual == null ? 0 : at(residual);
    boolean relu = shape.activation() == Activation.RELU;
    pool.run(
        cut.tasks,
        task -> {
          float[] row = new float[cut.width];
          float[] other = new float[cut.width];
          cut.forEachBlock(
              task,
              (at, n, width) -> {
                for (int i = at; i < at + n * width; i += width) {
                  System.arraycopy(in, xAt + i, row, 0, width);
                  if (add != null) {
                    System.arraycopy(add, addAt + i, other, 0, width);
                  }
                  if (relu && add != null) {
                    normaliseAddRelu(row, center, scale, shift, other, width);
                  } else if (relu) {
                    normaliseRelu(row, center, scale, shift, width);
                  } else if (add != null) {
                    normaliseAdd(row, center, scale, shift, other, width);
                  } else {
                    normalise(row, center, scale, shift, width);
                  }
                  System.arraycopy(row, 0, out, yAt + i, width);
                }
              });
        });
  }

  private static void normalise(float[] x, float[] center, float[] scale, float[] shift, int n) {
    for (int j = 0; j < n; j++) {
      x[j] = (x[j] - center[j]) * scale[j] + shift[j];
    }
  }

  private static void normaliseRelu(
      float[] x, float[] center, float[] scale, float[] shift, int n) {
    for (int j = 0; j < n; j++) {
      x[j] = Math.max((x[j] - center[j]) * scale[j] + shift[j], 0f);
    }
  }

  private static void normaliseAdd(
      float[] x, float[] center, float[] scale, float[] shift, float[] other, int n) {
    for (int j = 0; j < n; j++) {
      x[j] = (x[j] - center[j]) * scale[j] + shift[j] + other[j];
    }
  }

  private static void normaliseAddRelu(
      float[] x, float[] center, float[] scale, float[] shift, float[] other, int n) {
    for (int j = 0; j < n; j++) {
      x[j] = Math.max((x[j] - center[j]) * scale[j] + shift[j] + other[j], 0f);
    }
  }
}
