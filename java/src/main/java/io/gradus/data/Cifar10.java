package io.gradus.data;

import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The binary files of CIFAR-10: records of a label byte and three planes of 32x32 bytes.
 *
 * <p>Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and the
 * description of the binary version on the data set's page.
 */
final class Cifar10 {
  /** What a folder must hold to be recognised. */
  static final String LOOKED_FOR = "CIFAR-10 binary (data_batch_1.bin to 5, test_batch.bin)";

  private static final String FORMAT = "cifar10";
  private static final int SIDE = 32;
  private static final int PLANE = SIDE * SIDE;
  private static final int CHANNELS = 3;
  private static final int RECORD = 1 + CHANNELS * PLANE;
  private static final int CLASSES = 10;

  /** Records of a published file; more would be another data set, or a bomb. */
  private static final int MAX_RECORDS = 10_000;

  private static final int TRAIN_FILES = 5;
  private static final int MAX_NAMES_BYTES = 1 << 16;
  private static final List<String> NAMES =
      List.of(
          "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck");

  private Cifar10() {}

  /** Whether the folder has one of the files. */
  static boolean recognises(Path dir) {
    return SourceFiles.find(dir, "data_batch_1.bin", "test_batch.bin") != null;
  }

  /** Reads the training files that are there, one at least, and the test file. */
  static TrainTest open(Path dir) throws IOException {
    List<Path> train = new ArrayList<>();
    for (int i = 1; i <= TRAIN_FILES; i++) {
      Path file = SourceFiles.find(dir, "data_batch_" + i + ".bin");
      if (file != null) {
        train.add(file);
      }
    }
    Path test = SourceFiles.find(dir, "test_batch.bin");
    if (train.isEmpty() || test == null) {
      throw new FormatException(
          String.format(
              "[%s] %s lacks %s (plain, .gz or .xz): add it",
              FORMAT, dir, test == null ? "test_batch.bin" : "data_batch_1.bin to 5"));
    }
    List<String> names = classNames(dir);
    return new TrainTest(
        read(SourceFiles.dataName(dir, "train"), train, names),
        read(SourceFiles.dataName(dir, "test"), List.of(test), names));
  }

  private static List<String> classNames(Path dir) throws IOException {
    Path file = SourceFiles.find(dir, "batches.meta.txt");
    if (file == null) {
      return NAMES;
    }
    byte[] text = SourceFiles.read(FORMAT, file, in -> in.readNBytes(MAX_NAMES_BYTES));
    List<String> names =
        new String(text, StandardCharsets.UTF_8).lines().map(String::strip).toList();
    names = names.stream().filter(n -> !n.isEmpty()).toList();
    if (names.size() != CLASSES) {
      throw new FormatException(
          String.format(
              "[%s] %s has %d class names, not %d: correct or remove it",
              FORMAT, file, names.size(), CLASSES));
    }
    return names;
  }

  /** Reads files one after the other. */
  static ImageDataset read(String name, List<Path> files, List<String> classNames)
      throws IOException {
    List<byte[]> raw = records(files);
    long bytes = 0;
    for (byte[] records : raw) {
      bytes += records.length;
    }
    SourceFiles.fits(FORMAT, files.get(0), bytes);
    int count = (int) (bytes / RECORD);
    byte[] pixels = new byte[count * CHANNELS * PLANE];
    int[] labels = new int[count];
    int n = 0;
    for (int f = 0; f < raw.size(); f++) {
      byte[] records = raw.get(f);
      for (int at = 0; at < records.length; at += RECORD) {
        int label = records[at] & 0xFF;
        if (label >= CLASSES) {
          throw new FormatException(
              String.format(
                  "[%s] %s: record %d has label %d, out of range for %d classes: the file is"
                      + " corrupt or not CIFAR-10",
                  FORMAT, files.get(f), at / RECORD, label, CLASSES));
        }
        labels[n] = label;
        interleave(records, at + 1, pixels, n * CHANNELS * PLANE);
        n++;
      }
    }
    return new ImageDataset(name, Shape.of(SIDE, SIDE, CHANNELS), classNames, pixels, labels);
  }

  /** Decompresses the files side by side: xz takes a second or two for each. */
  private static List<byte[]> records(List<Path> files) throws IOException {
    try {
      return files.parallelStream()
          .map(
              file -> {
                try {
                  return records(file);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              })
          .toList();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static byte[] records(Path file) throws IOException {
    byte[] data = SourceFiles.read(FORMAT, file, in -> in.readNBytes(MAX_RECORDS * RECORD + 1));
    if (data.length == 0 || data.length % RECORD != 0) {
      throw new FormatException(
          String.format(
              "[%s] %s holds %s bytes, not 1 to %d whole records of %d: it is truncated or not"
                  + " CIFAR-10; fetch it again",
              FORMAT,
              file,
              data.length > MAX_RECORDS * RECORD ? "over " + MAX_RECORDS * RECORD : data.length,
              MAX_RECORDS,
              RECORD));
    }
    return data;
  }

  /** Planes of one colour each become pixels of three colours. */
  private static void interleave(byte[] planes, int from, byte[] out, int at) {
    for (int c = 0; c < CHANNELS; c++) {
      for (int i = 0; i < PLANE; i++) {
        out[at + i * CHANNELS + c] = planes[from + c * PLANE + i];
      }
    }
  }
}
