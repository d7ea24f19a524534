package io.gradus.cli;

import io.gradus.core.Shape;
import io.gradus.data.Dataset;
import io.gradus.data.Digits;
import io.gradus.data.TrainTest;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.imageio.ImageIO;

/** Folders of a few drawn digits, which train in seconds. */
final class SmallDigits {
  private static final int IMAGES = 0x803;
  private static final int LABELS = 0x801;

  private SmallDigits() {}

  /** Writes IDX files, as MNIST has them. */
  static Path idx(Path folder, int train, int test) throws IOException {
    Files.createDirectories(folder);
    TrainTest digits = Digits.open(train, test, 1);
    write(folder, "train", digits.train());
    write(folder, "t10k", digits.test());
    return folder;
  }

  private static void write(Path folder, String part, Dataset set) throws IOException {
    Shape shape = set.sampleShape();
    int pixels = (int) shape.numel();
    ByteBuffer images = ByteBuffer.allocate(16 + set.size() * pixels);
    images.putInt(IMAGES).putInt(set.size()).putInt((int) shape.dim(0)).putInt((int) shape.dim(1));
    ByteBuffer labels = ByteBuffer.allocate(8 + set.size());
    labels.putInt(LABELS).putInt(set.size());
    float[] values = new float[pixels];
    for (int i = 0; i < set.size(); i++) {
      set.read(i, values, 0);
      for (float value : values) {
        images.put((byte) Math.round(255 * value));
      }
      labels.put((byte) set.label(i));
    }
    Files.write(folder.resolve(part + "-images-idx3-ubyte"), images.array());
    Files.write(folder.resolve(part + "-labels-idx1-ubyte"), labels.array());
  }

  /** Writes the n-th digit of a test set as an image. */
  static Path png(Path file, int n) throws IOException {
    Dataset digits = Digits.open(1, n + 1, 1).test();
    int height = (int) digits.sampleShape().dim(0);
    int width = (int) digits.sampleShape().dim(1);
    float[] values = new float[height * width];
    digits.read(n, values, 0);
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        image.getRaster().setSample(x, y, 0, Math.round(255 * values[y * width + x]));
      }
    }
    ImageIO.write(image, "png", file.toFile());
    return file;
  }
}
