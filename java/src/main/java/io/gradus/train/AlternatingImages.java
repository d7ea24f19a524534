package io.gradus.train;

import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.data.Batch;
import io.gradus.data.Dataset;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.SplittableRandom;

/**
 * Images that lie on the device with the orders they are learned in: nothing but a list of numbers
 * goes there in an epoch. A random half of the images is mirrored in even epochs, the other half in
 * odd ones, so that every two epochs see both sides.
 */
final class AlternatingImages {
  private final int count;
  private final long seed;
  private final int[] labels;

  /** The images as even epochs see them, and behind them as odd ones do. */
  private final Tensor images;

  private final Tensor order;
  private final Tensor ordered;

  /** Images of 32 x 32 pixels and three channels. */
  AlternatingImages(Dataset train, Device device, long seed) {
    this.count = train.size();
    this.seed = seed;
    this.labels = new int[count];
    for (int i = 0; i < count; i++) {
      labels[i] = train.label(i);
    }
    try (Scope s = Scope.open()) {
      images = Scope.escape(Tensor.of(bothSides(train), 2L * count, 32, 32, 3).to(device));
      order = Scope.escape(Tensor.zeros(device, DType.INT64, Shape.of(count)));
      ordered = Scope.escape(Tensor.zeros(device, DType.INT64, Shape.of(count)));
    }
  }

  private byte[] bothSides(Dataset train) {
    SplittableRandom random = new SplittableRandom(seed);
    int size = (int) train.sampleShape().numel();
    byte[] both = new byte[Math.multiplyExact(2 * size, count)];
    float[] values = new float[size];
    for (int i = 0; i < count; i++) {
      train.read(i, values, 0);
      int first = random.nextBoolean() ? i : i + count;
      TestTimeAverage.bytes(values, both, first * size, false);
      TestTimeAverage.bytes(values, both, (first < count ? i + count : i) * size, true);
    }
    return both;
  }

  /** All images, UINT8 [2 count, 32, 32, 3]. */
  Tensor images() {
    return images;
  }

  /** Chooses the order of an epoch. */
  void shuffle(int epoch) {
    SplittableRandom random = new SplittableRandom(seed * 31 + epoch + 1);
    int[] samples = new int[count];
    for (int i = 0; i < count; i++) {
      int j = random.nextInt(i + 1);
      samples[i] = samples[j];
      samples[j] = i;
    }
    long[] index = new long[count];
    long[] label = new long[count];
    for (int i = 0; i < count; i++) {
      index[i] = samples[i] + (epoch % 2 == 0 ? 0L : count);
      label[i] = labels[samples[i]];
    }
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      order.copyFrom(Tensor.of(index));
      ordered.copyFrom(Tensor.of(label));
    }
  }

  /** A batch of the epoch: which images, and their labels. */
  Batch batch(int index, int size) {
    long from = (long) index * size;
    return new Batch(index, order.slice(0, from, from + size), ordered.slice(0, from, from + size));
  }
}
