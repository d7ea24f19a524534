package io.gradus.train;

import io.gradus.core.Shape;
import io.gradus.data.DataLoader;
import io.gradus.data.Dataset;
import io.gradus.data.ImageDataset;
import io.gradus.nn.BatchNorm2d;
import io.gradus.nn.Conv2d;
import io.gradus.nn.Dropout;
import io.gradus.nn.Flatten;
import io.gradus.nn.Linear;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Sequential;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.Generator;
import java.util.List;
import java.util.Random;

/** Tiny images that can be told apart, and a network small enough to train in milliseconds. */
final class Samples {
  static final int SIDE = 6;
  static final List<String> CLASSES = List.of("dark", "grey", "light");

  private Samples() {}

  /** Noise around a brightness that depends on the class. */
  static Dataset images(int count, long seed) {
    Random random = new Random(seed);
    byte[] pixels = new byte[count * SIDE * SIDE];
    int[] labels = new int[count];
    for (int i = 0; i < count; i++) {
      labels[i] = i % CLASSES.size();
      for (int p = 0; p < SIDE * SIDE; p++) {
        pixels[i * SIDE * SIDE + p] = (byte) (labels[i] * 60 + random.nextInt(120));
      }
    }
    return new ImageDataset("noise", Shape.of(SIDE, SIDE, 1), CLASSES, pixels, labels);
  }

  static DataLoader train(int count, int batch) {
    return DataLoader.builder(images(count, 1)).batch(batch).shuffle(true).seed(5).build();
  }

  static DataLoader test(int count) {
    return DataLoader.builder(images(count, 2)).batch(16).build();
  }

  /** With everything that has a state beside its weights: batch norm and dropout. */
  static Module network(long seed) {
    Generator.seed(seed);
    return new Sequential(
        new Conv2d(1, 4, 3, 3, Conv2dOptions.of(1, 1), false),
        new BatchNorm2d(4),
        new ReLU(),
        new Dropout(0.25),
        new Flatten(),
        new Linear(4L * SIDE * SIDE, CLASSES.size()));
  }
}
