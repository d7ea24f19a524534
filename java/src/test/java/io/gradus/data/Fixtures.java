package io.gradus.data;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPOutputStream;
import javax.imageio.ImageIO;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZOutputStream;

/** Small valid files of every format. */
final class Fixtures {
  private Fixtures() {}

  static byte[] idx(int magic, int[] dims, byte[] data) {
    ByteBuffer out = ByteBuffer.allocate(4 + 4 * dims.length + data.length);
    out.putInt(magic);
    for (int d : dims) {
      out.putInt(d);
    }
    return out.put(data).array();
  }

  /** Images whose pixel values count up, so that no two positions look alike. */
  static byte[] idxImages(int n, int height, int width) {
    return idx(0x803, new int[] {n, height, width}, counting(n * height * width));
  }

  static byte[] idxLabels(int... labels) {
    byte[] data = new byte[labels.length];
    for (int i = 0; i < labels.length; i++) {
      data[i] = (byte) labels[i];
    }
    return idx(0x801, new int[] {labels.length}, data);
  }

  static void idxFolder(Path dir) throws IOException {
    Files.write(dir.resolve("train-images-idx3-ubyte"), idxImages(3, 2, 4));
    Files.write(dir.resolve("train-labels-idx1-ubyte.gz"), gzip(idxLabels(7, 0, 2)));
    Files.write(dir.resolve("t10k-images.idx3-ubyte.gz"), gzip(idxImages(2, 2, 4)));
    Files.write(dir.resolve("t10k-labels.idx1-ubyte"), idxLabels(1, 9));
  }

  /**
   * Records whose bytes are 10 * plane + pixel mod 7, so that planes and pixels cannot be mixed up.
   */
  static byte[] cifar(int... labels) {
    byte[] out = new byte[labels.length * 3073];
    for (int n = 0; n < labels.length; n++) {
      out[n * 3073] = (byte) labels[n];
      for (int i = 0; i < 3072; i++) {
        out[n * 3073 + 1 + i] = (byte) (10 * (i / 1024) + i % 1024 % 7 + 100 * n);
      }
    }
    return out;
  }

  static byte[] counting(int n) {
    byte[] out = new byte[n];
    for (int i = 0; i < n; i++) {
      out[i] = (byte) i;
    }
    return out;
  }

  static byte[] gzip(byte[] data) {
    return compressed(data, GZIPOutputStream::new);
  }

  static byte[] xz(byte[] data) {
    return compressed(data, out -> new XZOutputStream(out, new LZMA2Options(0)));
  }

  /** Puts a compressor before a stream. */
  private interface Compressor {
    OutputStream open(OutputStream out) throws IOException;
  }

  private static byte[] compressed(byte[] data, Compressor compressor) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream stream = compressor.open(out)) {
      stream.write(data);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toByteArray();
  }

  static BufferedImage grey(int width, int height, int... values) {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
    for (int i = 0; i < values.length; i++) {
      image.getRaster().setSample(i % width, i / width, 0, values[i]);
    }
    return image;
  }

  static BufferedImage colour(int width, int height, int... rgb) {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < rgb.length; i++) {
      image.setRGB(i % width, i / width, rgb[i]);
    }
    return image;
  }

  static byte[] encode(BufferedImage image, String format) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      if (!ImageIO.write(image, format, out)) {
        throw new IllegalArgumentException(format);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toByteArray();
  }

  static Path png(Path file, BufferedImage image) throws IOException {
    Path folder = file.getParent();
    if (folder != null) {
      Files.createDirectories(folder);
    }
    return Files.write(file, encode(image, "png"));
  }

  /** A data set whose sample i is [i, -i] with label i mod 3. */
  static TableDataset numbered(int n) {
    float[] values = new float[2 * n];
    int[] labels = new int[n];
    for (int i = 0; i < n; i++) {
      values[2 * i] = i;
      values[2 * i + 1] = -i;
      labels[i] = i % 3;
    }
    return new TableDataset(
        "numbered", java.util.List.of("up", "down"), Labels.numbered(3), values, labels);
  }

  static float[] sample(Dataset data, int index) {
    float[] out = new float[(int) data.sampleShape().numel()];
    data.read(index, out, 0);
    return out;
  }
}
