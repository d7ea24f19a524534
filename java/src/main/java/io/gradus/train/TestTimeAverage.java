package io.gradus.train;

import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.data.Dataset;
import io.gradus.data.Standardise;
import io.gradus.metrics.ConfusionMatrix;
import io.gradus.metrics.MeanLoss;
import io.gradus.metrics.Predictions;
import io.gradus.nn.Module;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Image;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;

/**
 * Tests a model on six copies of every image and averages the logits: the image itself counts half,
 * moved by one pixel up and left, and down and right, a quarter each, and all of them are seen
 * mirrored too.
 */
final class TestTimeAverage {
  /** Moves of the copies, and their weights. */
  private static final int[] MOVES = {0, 1, -1};

  private static final double[] WEIGHTS = {0.5, 0.25, 0.25};

  private final Dataset data;
  private final Standardise statistics;
  private final int batch;

  TestTimeAverage(Dataset data, Standardise statistics, int batch) {
    this.data = data;
    this.statistics = statistics;
    this.batch = batch;
  }

  /** Results in evaluation mode; the model's mode is restored. */
  Evaluation evaluate(Module model, Device device) {
    boolean training = model.isTraining();
    model.eval();
    MeanLoss loss = new MeanLoss();
    ConfusionMatrix confusion = new ConfusionMatrix(data.classNames());
    try (GradMode.Guard g = GradMode.noGrad()) {
      for (int from = 0; from < data.size(); from += batch) {
        try (Scope s = Scope.open()) {
          int count = Math.min(batch, data.size() - from);
          Tensor logits = logits(model, device, from, count);
          long[] labels = new long[count];
          for (int i = 0; i < count; i++) {
            labels[i] = data.label(from + i);
          }
          Tensor y = Tensor.of(labels).to(device);
          loss.update(Loss.crossEntropy(logits, y).item(), count);
          confusion.update(Predictions.of(logits, y));
        }
      }
    } finally {
      model.train(training);
    }
    return new Evaluation(loss.value(), confusion);
  }

  private Tensor logits(Module model, Device device, int from, int count) {
    int size = (int) data.sampleShape().numel();
    float[] values = new float[size];
    Tensor mean = Tensor.of(statistics.mean()).to(device);
    Tensor std = Tensor.of(statistics.std()).to(device);
    Tensor sum = Tensor.zeros(device, DType.FLOAT32, Shape.of(count, data.classes()));
    for (int m = 0; m < MOVES.length; m++) {
      for (boolean mirrored : new boolean[] {false, true}) {
        byte[] bytes = new byte[count * size];
        for (int i = 0; i < count; i++) {
          data.read(from + i, values, 0);
          copy(values, bytes, i * size, MOVES[m], MOVES[m], mirrored);
        }
        try (Scope s = Scope.open()) {
          Tensor images = Tensor.of(bytes, count, 32, 32, 3).to(device);
          Tensor logits = model.call(Image.normalise(images, mean, std, DType.FLOAT32));
          sum.addInPlace(logits.to(DType.FLOAT32).mul(WEIGHTS[m] / 2));
        }
      }
    }
    return sum;
  }

  /**
   * Writes an image of 32 x 32 pixels as bytes, moved and then mirrored; what comes from outside of
   * it is its reflection without the edge.
   *
   * @param values on [0, 1]
   */
  static void copy(float[] values, byte[] out, int at, int down, int right, boolean mirrored) {
    int side = 32;
    for (int y = 0; y < side; y++) {
      int fromY = reflect(y - down, side);
      for (int x = 0; x < side; x++) {
        int fromX = reflect((mirrored ? side - 1 - x : x) - right, side);
        for (int c = 0; c < 3; c++) {
          out[at + (y * side + x) * 3 + c] =
              (byte) Math.round(values[(fromY * side + fromX) * 3 + c] * 255);
        }
      }
    }
  }

  private static int reflect(int i, int size) {
    int inside = Math.abs(i);
    return inside < size ? inside : 2 * (size - 1) - inside;
  }
}
