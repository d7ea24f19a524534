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
import java.util.ArrayList;
import java.util.List;

/**
 * Tests a model on six copies of every image and averages the logits: the image itself counts half,
 * moved by one pixel up and left, and down and right, a quarter each, and all of them are seen
 * mirrored too.
 */
final class TestTimeAverage {
  /** Moves of the copies, and their weights. */
  private static final int[] MOVES = {0, 1, -1};

  private static final double[] WEIGHTS = {0.5, 0.25, 0.25};

  private static final int SIDE = 32;

  private final Dataset data;
  private final int batch;
  private final Tensor images;
  private final Tensor labels;
  private final Tensor mean;
  private final Tensor std;

  /** For every copy, the pixel that comes to every place, INT64 [32 * 32]. */
  private final List<Tensor> copies = new ArrayList<>();

  /** A test on images of 32 x 32 pixels and three channels, which are brought to the device. */
  TestTimeAverage(Dataset data, Standardise statistics, int batch, Device device) {
    this.data = data;
    this.batch = batch;
    int size = (int) data.sampleShape().numel();
    byte[] bytes = new byte[Math.multiplyExact(size, data.size())];
    long[] classes = new long[data.size()];
    float[] values = new float[size];
    for (int i = 0; i < classes.length; i++) {
      data.read(i, values, 0);
      bytes(values, bytes, i * size, false);
      classes[i] = data.label(i);
    }
    try (Scope s = Scope.open()) {
      images = Scope.escape(Tensor.of(bytes, classes.length, SIDE, SIDE, 3).to(device));
      labels = Scope.escape(Tensor.of(classes).to(device));
      mean = Scope.escape(Tensor.of(statistics.mean()).to(device));
      std = Scope.escape(Tensor.of(statistics.std()).to(device));
      for (int move : MOVES) {
        for (boolean mirrored : new boolean[] {false, true}) {
          copies.add(Scope.escape(Tensor.of(pixels(move, mirrored)).to(device)));
        }
      }
    }
  }

  /** Results in evaluation mode; the model's mode is restored. */
  Evaluation evaluate(Module model) {
    boolean training = model.isTraining();
    model.eval();
    MeanLoss loss = new MeanLoss();
    ConfusionMatrix confusion = new ConfusionMatrix(data.classNames());
    try (GradMode.Guard g = GradMode.noGrad()) {
      for (int from = 0; from < data.size(); from += batch) {
        try (Scope s = Scope.open()) {
          int to = Math.min(from + batch, data.size());
          Tensor logits = logits(model, images.slice(0, from, to));
          Tensor y = labels.slice(0, from, to);
          loss.update(Loss.crossEntropy(logits, y).item(), to - from);
          confusion.update(Predictions.of(logits, y));
        }
      }
    } finally {
      model.train(training);
    }
    return new Evaluation(loss.value(), confusion);
  }

  private Tensor logits(Module model, Tensor part) {
    long count = part.size(0);
    Tensor x = Image.normalise(part, mean, std, DType.FLOAT32).reshape(count, SIDE * SIDE, 3);
    Tensor sum = Tensor.zeros(x.device(), DType.FLOAT32, Shape.of(count, data.classes()));
    for (int i = 0; i < copies.size(); i++) {
      try (Scope s = Scope.open()) {
        Tensor copy = x.indexSelect(1, copies.get(i)).reshape(count, SIDE, SIDE, 3);
        sum.addInPlace(model.call(copy).to(DType.FLOAT32).mul(WEIGHTS[i / 2] / 2));
      }
    }
    return sum;
  }

  /**
   * Which pixel comes to every place of an image that is moved down and right, and then mirrored;
   * what comes from outside of it is its reflection without the edge.
   */
  static long[] pixels(int move, boolean mirrored) {
    long[] from = new long[SIDE * SIDE];
    for (int y = 0; y < SIDE; y++) {
      for (int x = 0; x < SIDE; x++) {
        int fromX = reflect((mirrored ? SIDE - 1 - x : x) - move);
        from[y * SIDE + x] = (long) reflect(y - move) * SIDE + fromX;
      }
    }
    return from;
  }

  private static int reflect(int i) {
    int inside = Math.abs(i);
    return inside < SIDE ? inside : 2 * (SIDE - 1) - inside;
  }

  /**
   * Writes an image as bytes.
   *
   * @param values on [0, 1]
   * @param mirrored whether left and right are exchanged
   */
  static void bytes(float[] values, byte[] out, int at, boolean mirrored) {
    for (int i = 0; i < values.length; i++) {
      int x = i / 3 % SIDE;
      int from = mirrored ? i + 3 * (SIDE - 1 - 2 * x) : i;
      out[at + i] = (byte) Math.round(values[from] * 255);
    }
  }
}
