package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import io.gradus.backend.GroupNormShape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Group normalisation in float32. Every sample is a matrix [positions, channels] that {@link
 * ChannelRows} cuts; sums are formed by channel and then joined by group. Rows are worked on in
 * small copies for the reason given at {@link BatchNormKernels}.
 */
final class GroupNormKernels {
  private final Parallel pool;
  private final int samples;
  private final int area;
  private final int channels;
  private final int groups;
  private final int size;
  private final int lanes;
  private final ChannelRows cut;

  private GroupNormKernels(Parallel pool, GroupNormShape shape) {
    this.pool = pool;
    this.samples = Math.toIntExact(shape.samples());
    this.area = Math.toIntExact(shape.positions() * shape.channels());
    this.channels = Math.toIntExact(shape.channels());
    this.groups = Math.toIntExact(shape.groups());
    this.size = channels / groups;
    this.cut = new ChannelRows(shape.positions(), shape.channels());
    this.lanes = Math.min(cut.width, area);
  }

  /** Adds one row of {@code width} elements, which starts at {@code at}, to sums by lane. */
  private interface RowSum {
    void add(int sample, int at, int width, double[] sums);
  }

  /** Changes the row of {@code width} elements which starts at {@code at}. */
  private interface RowWork {
    void run(int at, int width);
  }

  /** What works on the rows of one sample, with working space of its own. */
  private interface SampleWork {
    RowWork begin(int sample);
  }

  static void forward(
      Parallel pool,
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd,
      GroupNormShape shape) {
    GroupNormKernels pass = new GroupNormKernels(pool, shape);
    pass.statistics(x, mean, invStd, shape.eps());
    pass.apply(x, weight, bias, y, mean, invStd);
  }

  private void statistics(Buffer x, Buffer mean, Buffer invStd, double eps) {
    float[] in = floats(x);
    int xAt = at(x);
    double count = (double) area / groups;
    double[][] center = new double[samples][lanes];
    double[][] totals =
        sums(
            1,
            (sample, at, width, sums) -> FloatSums.columns(in, xAt + at, width, 1, sums, 0, width));
    for (int i = 0; i < samples; i++) {
      for (int g = 0; g < groups; g++) {
        double average = ofGroup(totals[i], 0, g) / count;
        floats(mean)[at(mean) + i * groups + g] = (float) average;
        Arrays.fill(center[i], g * size, (g + 1) * size, average);
      }
      for (int j = channels; j < lanes; j++) {
        center[i][j] = center[i][j - channels];
      }
    }
    double[][] squares =
        sums(1, (sample, at, width, sums) -> squares(in, xAt + at, center[sample], sums, width));
    for (int i = 0; i < samples; i++) {
      for (int g = 0; g < groups; g++) {
        double variance = ofGroup(squares[i], 0, g) / count;
        floats(invStd)[at(invStd) + i * groups + g] = (float) (1 / Math.sqrt(variance + eps));
      }
    }
  }

  private static void squares(float[] x, int at, double[] center, double[] sums, int n) {
    for (int j = 0; j < n; j++) {
      double distance = x[at + j] - center[j];
      sums[j] += distance * distance;
    }
  }

  private void apply(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd) {
    float[] in = floats(x);
    float[] out = floats(y);
    float[] shift = cut.wide(bias, 0);
    float[] w = cut.wide(weight, 1);
    forEachRow(
        sample -> {
          float[] center = wide(mean, sample);
          float[] scale = wide(invStd, sample);
          for (int j = 0; j < lanes; j++) {
            scale[j] *= w[j];
          }
          float[] row = new float[lanes];
          return (at, width) -> {
            System.arraycopy(in, at(x) + at, row, 0, width);
            normalise(row, center, scale, shift, width);
            System.arraycopy(row, 0, out, at(y) + at, width);
          };
        });
  }

  private static void normalise(float[] x, float[] center, float[] scale, float[] shift, int n) {
    for (int j = 0; j < n; j++) {
      x[j] = (x[j] - center[j]) * scale[j] + shift[j];
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
      GroupNormShape shape) {
    GroupNormKernels pass = new GroupNormKernels(pool, shape);
    double[][] sums = pass.gradientSums(gradY, x, mean, invStd);
    pass.store(sums, 0, gradBias);
    pass.store(sums, pass.channels, gradWeight);
    if (gradX != null) {
      pass.gradient(gradY, x, mean, invStd, weight, gradX, sums);
    }
  }

  /** By sample and channel, the sums of g and, behind them, of g n. */
  private double[][] gradientSums(Buffer gradY, Buffer x, Buffer mean, Buffer invStd) {
    float[] g = floats(gradY);
    float[] in = floats(x);
    float[][] center = new float[samples][];
    float[][] inverse = new float[samples][];
    for (int i = 0; i < samples; i++) {
      center[i] = wide(mean, i);
      inverse[i] = wide(invStd, i);
    }
    return sums(
        2,
        (sample, at, width, sums) ->
            products(
                g,
                at(gradY) + at,
                in,
                at(x) + at,
                center[sample],
                inverse[sample],
                sums,
                lanes,
                width));
  }

  private static void products(
      float[] g,
      int gAt,
      float[] x,
      int xAt,
      float[] center,
      float[] inverse,
      double[] sums,
      int lanes,
      int n) {
    for (int j = 0; j < n; j++) {
      double gradient = g[gAt + j];
      sums[j] += gradient;
      sums[lanes + j] += gradient * ((x[xAt + j] - center[j]) * inverse[j]);
    }
  }

  /** The sum over samples, in their order. */
  private void store(double[][] sums, int first, @Nullable Buffer target) {
    if (target == null) {
      return;
    }
    for (int c = 0; c < channels; c++) {
      double sum = 0;
      for (double[] sample : sums) {
        sum += sample[first + c];
      }
      floats(target)[at(target) + c] = (float) sum;
    }
  }

  private void gradient(
      Buffer gradY,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      Buffer gradX,
      double[][] sums) {
    float[] g = floats(gradY);
    float[] in = floats(x);
    float[] out = floats(gradX);
    float[] w = cut.wide(weight, 1);
    double count = (double) area / groups;
    forEachRow(
        sample -> {
          float[] center = wide(mean, sample);
          float[] inverse = wide(invStd, sample);
          float[] level = new float[lanes];
          float[] slope = new float[lanes];
          double[] weighted = sums[sample].clone();
          for (int c = 0; c < channels; c++) {
            weighted[c] *= w[c];
            weighted[channels + c] *= w[c];
          }
          for (int group = 0; group < groups; group++) {
            int first = group * size;
            Arrays.fill(level, first, first + size, (float) (ofGroup(weighted, 0, group) / count));
            Arrays.fill(
                slope, first, first + size, (float) (ofGroup(weighted, channels, group) / count));
          }
          repeat(level);
          repeat(slope);
          float[] row = new float[lanes];
          float[] gradient = new float[lanes];
          return (at, width) -> {
            System.arraycopy(in, at(x) + at, row, 0, width);
            System.arraycopy(g, at(gradY) + at, gradient, 0, width);
            gradient(gradient, row, center, inverse, w, level, slope, width);
            System.arraycopy(gradient, 0, out, at(gradX) + at, width);
          };
        });
  }

  private static void gradient(
      float[] g,
      float[] x,
      float[] center,
      float[] inverse,
      float[] w,
      float[] level,
      float[] slope,
      int n) {
    for (int j = 0; j < n; j++) {
      float normal = (x[j] - center[j]) * inverse[j];
      g[j] = (g[j] * w[j] - level[j] - normal * slope[j]) * inverse[j];
    }
  }

  /** The sum over the channels of a group. */
  private double ofGroup(double[] byChannel, int first, int group) {
    double sum = 0;
    for (int c = group * size; c < (group + 1) * size; c++) {
      sum += byChannel[first + c];
    }
    return sum;
  }

  /** The values of a sample's groups, one per lane of a wide row. */
  private float[] wide(Buffer byGroup, int sample) {
    float[] out = new float[lanes];
    for (int c = 0; c < channels; c++) {
      out[c] = floats(byGroup)[at(byGroup) + sample * groups + c / size];
    }
    repeat(out);
    return out;
  }

  private void repeat(float[] row) {
    for (int j = channels; j < row.length; j++) {
      row[j] = row[j - channels];
    }
  }

  /** By sample and channel, {@code quantities} sums over positions, in a fixed order. */
  private double[][] sums(int quantities, RowSum body) {
    double[][] parts = new double[samples * cut.tasks][];
    pool.run(
        parts.length,
        part -> {
          int sample = part / cut.tasks;
          double[] byLane = new double[quantities * lanes];
          cut.forEachBlock(
              part % cut.tasks,
              (first, rows, width) -> {
                for (int i = 0; i < rows; i++) {
                  body.add(sample, sample * area + first + i * width, width, byLane);
                }
              });
          double[] byChannel = new double[quantities * channels];
          for (int i = 0; i < byLane.length; i++) {
            byChannel[i / lanes * channels + i % lanes % channels] += byLane[i];
          }
          parts[part] = byChannel;
        });
    double[][] out = new double[samples][quantities * channels];
    for (int part = 0; part < parts.length; part++) {
      double[] sum = out[part / cut.tasks];
      for (int i = 0; i < sum.length; i++) {
        sum[i] += parts[part][i];
      }
    }
    return out;
  }

  private void forEachRow(SampleWork work) {
    pool.run(
        samples * cut.tasks,
        part -> {
          int sample = part / cut.tasks;
          RowWork body = work.begin(sample);
          cut.forEachBlock(
              part % cut.tasks,
              (first, rows, width) -> {
                for (int i = 0; i < rows; i++) {
                  body.run(sample * area + first + i * width, width);
                }
              });
        });
  }
}
