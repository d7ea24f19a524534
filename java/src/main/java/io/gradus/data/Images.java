package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.Set;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/** Reads PNG, JPEG, GIF and BMP files as samples. */
public final class Images {
  /** What the readers of the JDK's desktop module are trusted with. */
  private static final Set<String> FORMATS = Set.of("png", "jpeg", "jpg", "gif", "bmp");

  private static final String FORMAT = "image";
  private static final long MAX_FILE_BYTES = 64L << 20;

  /** The decoder's own copies: four bytes a pixel, and as much again while converting. */
  private static final int DECODING_BYTES = 8;

  private Images() {}

  /**
   * Reads one image as a sample of a model: values on [0, 1], {@code [H, W, C]} in row-major order.
   *
   * <p>Colour becomes grey by the luma 0.299 R + 0.587 G + 0.114 B, grey becomes colour by
   * repeating it, and transparency is ignored. Another size is stretched to the wanted one: areas
   * are averaged where it shrinks, and interpolated linearly where it grows. Light and dark stay as
   * they are: MNIST and {@link Digits} are light strokes on dark.
   *
   * @param file a PNG, JPEG, GIF or BMP file
   * @param sampleShape {@code [H, W, 1]} or {@code [H, W, 3]}
   * @throws FormatException when the file is damaged, too large or no such image
   * @throws IOException when the file cannot be read
   * @throws io.gradus.core.ShapeException when the shape is not one of an image
   */
  public static float[] read(Path file, Shape sampleShape) throws IOException {
    Checks.shape(
        sampleShape.rank() == 3
            && sampleShape.numel() > 0
            && (sampleShape.dim(2) == 1 || sampleShape.dim(2) == 3),
        "[image] the model takes samples of shape %s, not images [H, W, 1] or [H, W, 3], so %s"
            + " cannot be given to it",
        sampleShape,
        file);
    Pixels pixels = decode(file);
    int channels = (int) sampleShape.dim(2);
    byte[] bytes = pixels.withChannels(channels);
    float[] values = new float[bytes.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (bytes[i] & 0xFF) / 255f;
    }
    return Resample.resize(
        values,
        pixels.height,
        pixels.width,
        channels,
        (int) sampleShape.dim(0),
        (int) sampleShape.dim(1));
  }

  /** Whether a file is named like an image. */
  static boolean isImage(Path file) {
    String name = SourceFiles.fileName(file).toLowerCase(Locale.ROOT);
    return FORMATS.contains(name.substring(name.lastIndexOf('.') + 1));
  }

  /** Decodes a file at its own size, grey to one channel and colour to three. */
  static Pixels decode(Path file) throws IOException {
    if (Files.size(file) > MAX_FILE_BYTES) {
      throw new FormatException(
          String.format(
              "[%s] %s has %d bytes, more than the %d allowed: scale it down",
              FORMAT, file, Files.size(file), MAX_FILE_BYTES));
    }
    byte[] bytes = Files.readAllBytes(file);
    try (ImageInputStream in = new MemoryCacheImageInputStream(new ByteArrayInputStream(bytes))) {
      return decode(file, in);
    } catch (FormatException e) {
      throw e;
    } catch (IOException | RuntimeException | OutOfMemoryError e) {
      // The JDK's decoders answer damage with exceptions of many types, and a false length with a
      // huge array; the bytes are already in memory, so none of it is an error of the disk.
      throw new FormatException(
          String.format(
              "[%s] %s is damaged (%s): save it again as PNG",
              FORMAT, file, CsvTable.shorten(String.valueOf(e.getMessage()))),
          e);
    }
  }

  private static Pixels decode(Path file, ImageInputStream in) throws IOException {
    ImageReader reader = null;
    for (Iterator<ImageReader> it = ImageIO.getImageReaders(in); it.hasNext() && reader == null; ) {
      ImageReader candidate = it.next();
      if (FORMATS.contains(candidate.getFormatName().toLowerCase(Locale.ROOT))) {
        reader = candidate;
      } else {
        candidate.dispose();
      }
    }
    if (reader == null) {
      throw new FormatException(
          String.format(
              "[%s] %s is not a PNG, JPEG, GIF or BMP image: save it as one of these",
              FORMAT, file));
    }
    try {
      reader.setInput(in, true, true);
      long pixels = (long) reader.getWidth(0) * reader.getHeight(0);
      SourceFiles.fits(FORMAT, file, pixels * DECODING_BYTES);
      return Pixels.of(reader.read(0));
    } finally {
      reader.dispose();
    }
  }

  /** A decoded image: unsigned bytes, {@code [H, W, C]} with one channel or three. */
  static final class Pixels {
    final int height;
    final int width;
    final int channels;
    final byte[] bytes;

    Pixels(int height, int width, int channels, byte[] bytes) {
      this.height = height;
      this.width = width;
      this.channels = channels;
      this.bytes = bytes;
    }

    static Pixels of(BufferedImage image) {
      ColorModel model = image.getColorModel();
      if (model instanceof ComponentColorModel
          && model.getColorSpace().getType() == ColorSpace.TYPE_GRAY
          && model.getComponentSize(0) >= 8) {
        return grey(image.getRaster(), model.getComponentSize(0) - 8);
      }
      int width = image.getWidth();
      int height = image.getHeight();
      byte[] out = new byte[Math.multiplyExact(3, Math.multiplyExact(width, height))];
      int[] row = new int[width];
      int at = 0;
      for (int y = 0; y < height; y++) {
        image.getRGB(0, y, width, 1, row, 0, width);
        for (int rgb : row) {
          out[at++] = (byte) (rgb >> 16);
          out[at++] = (byte) (rgb >> 8);
          out[at++] = (byte) rgb;
        }
      }
      Pixels colour = new Pixels(height, width, 3, out);
      return model instanceof IndexColorModel palette && isGrey(palette)
          ? new Pixels(height, width, 1, colour.withChannels(1))
          : colour;
    }

    /**
     * Takes samples as they are stored: Java's own conversion would apply a gamma curve to grey.
     */
    private static Pixels grey(Raster raster, int shift) {
      int width = raster.getWidth();
      int height = raster.getHeight();
      byte[] out = new byte[Math.multiplyExact(width, height)];
      int[] row = new int[width];
      for (int y = 0; y < height; y++) {
        raster.getSamples(0, y, width, 1, 0, row);
        for (int x = 0; x < width; x++) {
          out[y * width + x] = (byte) (row[x] >> shift);
        }
      }
      return new Pixels(height, width, 1, out);
    }

    private static boolean isGrey(IndexColorModel palette) {
      for (int i = 0; i < palette.getMapSize(); i++) {
        if (palette.getRed(i) != palette.getGreen(i) || palette.getRed(i) != palette.getBlue(i)) {
          return false;
        }
      }
      return true;
    }

    /** The bytes with one channel or three. */
    byte[] withChannels(int wanted) {
      if (wanted == channels) {
        return bytes;
      }
      byte[] out = new byte[Math.multiplyExact(Math.multiplyExact(height, width), wanted)];
      for (int i = 0; i < height * width; i++) {
        if (wanted == 3) {
          out[3 * i] = bytes[i];
          out[3 * i + 1] = bytes[i];
          out[3 * i + 2] = bytes[i];
        } else {
          // ITU-R BT.601 luma in 16-bit fixed point, rounded; the weights sum to exactly 1.
          int luma =
              19595 * (bytes[3 * i] & 0xFF)
                  + 38470 * (bytes[3 * i + 1] & 0xFF)
                  + 7471 * (bytes[3 * i + 2] & 0xFF);
          out[i] = (byte) ((luma + 0x8000) >> 16);
        }
      }
      return out;
    }
  }
}
