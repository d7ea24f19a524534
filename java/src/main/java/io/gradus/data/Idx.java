package io.gradus.data;

import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * The IDX files of MNIST and its relatives: a big-endian magic number, one extent per dimension,
 * then unsigned bytes.
 *
 * <p>Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", file formats.
 */
final class Idx {
  /** What a folder must hold to be recognised. */
  static final String LOOKED_FOR =
      "IDX (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte,"
          + " t10k-labels-idx1-ubyte)";

  private static final String FORMAT = "idx";
  private static final int IMAGES_MAGIC = 0x0803;
  private static final int LABELS_MAGIC = 0x0801;

  /** Digits have ten classes even where a small file lacks some of them. */
  private static final int USUAL_CLASSES = 10;

  private static final List<String> FASHION =
      List.of(
          "T-shirt/top",
          "Trouser",
          "Pullover",
          "Dress",
          "Coat",
          "Sandal",
          "Shirt",
          "Sneaker",
          "Bag",
          "Ankle boot");

  private Idx() {}

  /** Whether the folder has one of the files of training images or labels. */
  static boolean recognises(Path dir) {
    return find(dir, "train", "images", 3) != null || find(dir, "train", "labels", 1) != null;
  }

  /** Reads the four files of a folder. */
  static TrainTest open(Path dir) throws IOException {
    Raw train = read(need(dir, "train", "images", 3), need(dir, "train", "labels", 1));
    String testPart = find(dir, "t10k", "images", 3) != null ? "t10k" : "test";
    Raw test = read(need(dir, testPart, "images", 3), need(dir, testPart, "labels", 1));
    if (!train.shape.equals(test.shape)) {
      throw new FormatException(
          String.format(
              "[%s] %s: training images are %s but test images are %s: they are not of one data"
                  + " set",
              FORMAT, dir, train.shape, test.shape));
    }
    int classes = train.classes();
    test.requireLabelsBelow(classes);
    List<String> names =
        classes == FASHION.size()
                && SourceFiles.dataName(dir, "").toLowerCase(Locale.ROOT).contains("fashion")
            ? FASHION
            : Labels.numbered(classes);
    return new TrainTest(
        train.dataset(SourceFiles.dataName(dir, "train"), names),
        test.dataset(SourceFiles.dataName(dir, "test"), names));
  }

  /** Reads one file of images with its file of labels. */
  static ImageDataset open(Path images, Path labels) throws IOException {
    Raw raw = read(images, labels);
    return raw.dataset(SourceFiles.fileName(images), Labels.numbered(raw.classes()));
  }

  private static @Nullable Path find(Path dir, String part, String kind, int rank) {
    String stem = part + "-" + kind;
    return SourceFiles.find(dir, stem + "-idx" + rank + "-ubyte", stem + ".idx" + rank + "-ubyte");
  }

  private static Path need(Path dir, String part, String kind, int rank) throws FormatException {
    Path file = find(dir, part, kind, rank);
    if (file == null) {
      throw new FormatException(
          String.format(
              "[%s] %s lacks %s-%s-idx%d-ubyte (plain, .gz or .xz): add it",
              FORMAT, dir, part, kind, rank));
    }
    return file;
  }

  private static Raw read(Path images, Path labels) throws IOException {
    Content pixels = content(images, IMAGES_MAGIC, 3, "images");
    Content classes = content(labels, LABELS_MAGIC, 1, "labels");
    if (pixels.dims[0] != classes.dims[0]) {
      throw new FormatException(
          String.format(
              "[%s] %s has %d images but %s has %d labels: they do not belong together",
              FORMAT, images, pixels.dims[0], labels, classes.dims[0]));
    }
    int[] values = new int[classes.data.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = classes.data[i] & 0xFF;
    }
    return new Raw(labels, Shape.of(pixels.dims[1], pixels.dims[2], 1), pixels.data, values);
  }

  private static Content content(Path file, int magic, int rank, String kind) throws IOException {
    return SourceFiles.read(
        FORMAT,
        file,
        in -> {
          int found = readInt(in);
          if (found != magic) {
            throw new FormatException(
                String.format(
                    "[%s] %s starts with 0x%08x but a file of %s starts with 0x%08x: it is corrupt"
                        + " or of another format",
                    FORMAT, file, found, kind, magic));
          }
          int[] dims = new int[rank];
          long count = 1;
          for (int i = 0; i < rank; i++) {
            dims[i] = readInt(in);
            if (dims[i] <= 0) {
              throw new FormatException(
                  String.format(
                      "[%s] %s says that dimension %d has extent %d: it is corrupt or empty",
                      FORMAT, file, i, Integer.toUnsignedLong(dims[i])));
            }
            count = Math.multiplyHigh(count, dims[i]) == 0 ? count * dims[i] : -1;
            SourceFiles.fits(FORMAT, file, count);
          }
          return new Content(dims, SourceFiles.exactly(FORMAT, file, in, (int) count));
        });
  }

  private static int readInt(InputStream in) throws IOException {
    byte[] word = in.readNBytes(4);
    if (word.length < 4) {
      throw new EOFException("it ends within its header");
    }
    return ByteBuffer.wrap(word).getInt();
  }

  private static final class Content {
    final int[] dims;
    final byte[] data;

    Content(int[] dims, byte[] data) {
      this.dims = dims;
      this.data = data;
    }
  }

  /** Images and labels that were counted, but whose labels are not yet known to be classes. */
  private static final class Raw {
    final Path labelFile;
    final Shape shape;
    final byte[] pixels;
    final int[] labels;

    Raw(Path labelFile, Shape shape, byte[] pixels, int[] labels) {
      this.labelFile = labelFile;
      this.shape = shape;
      this.pixels = pixels;
      this.labels = labels;
    }

    /**
     * Number of classes: ten, or more where labels beyond 9 leave no class without a sample. A
     * damaged label would otherwise pass as a new class.
     */
    int classes() throws FormatException {
      boolean[] seen = new boolean[256];
      int last = 0;
      for (int label : labels) {
        seen[label] = true;
        last = Math.max(last, label);
      }
      if (last >= USUAL_CLASSES) {
        for (int c = 0; c < last; c++) {
          if (!seen[c]) {
            requireLabelsBelow(Math.max(c, USUAL_CLASSES));
          }
        }
      }
      return Math.max(last + 1, USUAL_CLASSES);
    }

    void requireLabelsBelow(int classes) throws FormatException {
      for (int i = 0; i < labels.length; i++) {
        if (labels[i] >= classes) {
          throw new FormatException(
              String.format(
                  "[%s] %s: sample %d has label %d, out of range for %d classes: the file is"
                      + " corrupt or of another data set",
                  FORMAT, labelFile, i, labels[i], classes));
        }
      }
    }

    ImageDataset dataset(String name, List<String> classNames) {
      return new ImageDataset(name, shape, classNames, pixels, labels);
    }
  }
}
