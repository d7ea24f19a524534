package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Cross-entropy of the rows of a float32 matrix; sums are formed in float64. */
final class CrossEntropyKernels {
  private final float[] logits;
  private final int logitsAt;
  private final long[] target;
  private final int targetAt;
  private final float @Nullable [] weight;
  private final int weightAt;
  private final int classes;
  private final double hard;
  private final double soft;
  private final double weightSum;
  private final long ignored;

  CrossEntropyKernels(
      Buffer logits,
      Buffer target,
      @Nullable Buffer weight,
      long classes,
      double smoothing,
      long ignored) {
    this.logits = floats(logits);
    this.logitsAt = at(logits);
    this.target = HeapArrays.longs(target);
    this.targetAt = at(target);
    this.weight = weight == null ? null : floats(weight);
    this.weightAt = weight == null ? 0 : at(weight);
    this.classes = Math.toIntExact(classes);
    this.hard = 1 - smoothing;
    this.soft = smoothing / classes;
    this.ignored = ignored;
    double sum = 0;
    for (int c = 0; c < this.classes; c++) {
      sum += weight(c);
    }
    this.weightSum = sum;
  }

  private float weight(int c) {
    return weight == null ? 1 : weight[weightAt + c];
  }

  void forward(int row, Buffer loss, Buffer rowWeight, Buffer logSum) {
    int first = logitsAt + row * classes;
    float shift = SoftmaxKernels.shift(logits, first, classes);
    double log = Math.log(SoftmaxKernels.sumOfExponentials(logits, first, shift, classes));
    floats(logSum)[at(logSum) + row] = (float) log;
    long label = target[targetAt + row];
    if (label == ignored) {
      floats(loss)[at(loss) + row] = 0;
      floats(rowWeight)[at(rowWeight) + row] = 0;
      return;
    }
    float v = weight((int) label);
    double total = hard * v * (log - (logits[first + (int) label] - shift));
    if (soft != 0) {
      double sum = 0;
      for (int c = 0; c < classes; c++) {
        sum += weight(c) * (log - (logits[first + c] - shift));
      }
      total += soft * sum;
    }
    floats(loss)[at(loss) + row] = (float) total;
    floats(rowWeight)[at(rowWeight) + row] = v;
  }

  void backward(int row, Buffer gradLoss, Buffer logSum, Buffer gradLogits) {
    float[] out = floats(gradLogits);
    int outAt = at(gradLogits) + row * classes;
    long label = target[targetAt + row];
    if (label == ignored) {
      Arrays.fill(out, outAt, outAt + classes, 0);
      return;
    }
    int first = logitsAt + row * classes;
    double log = floats(logSum)[at(logSum) + row];
    float shift = SoftmaxKernels.shift(logits, first, classes);
    double g = floats(gradLoss)[at(gradLoss) + row];
    double peak = hard * weight((int) label);
    double mass = g * (peak + soft * weightSum);
    for (int c = 0; c < classes; c++) {
      double q = c == label ? peak + soft * weight(c) : soft * weight(c);
      out[outAt + c] = (float) (Math.exp(logits[first + c] - shift - log) * mass - g * q);
    }
  }
}
