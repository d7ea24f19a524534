package io.gradus.data;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.FormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Opens data sets from files. */
public final class Datasets {
  /** Part of the samples that is kept for testing where the files make no such difference. */
  public static final double TEST_FRACTION = 0.2;

  /** Always the same, so that what was trained on is never tested on by a later command. */
  private static final long SPLIT_SEED = 0;

  private Datasets() {}

  /**
   * Opens whatever a folder holds, recognised by the names of its files: IDX (MNIST,
   * Fashion-MNIST), CIFAR-10 binary, CSV, or an image folder; files may be plain, .gz or .xz. A
   * path may also name one CSV file.
   *
   * <p>Where the files do not say which samples are for testing, a fixed choice of {@link
   * #TEST_FRACTION} of them is.
   *
   * @throws ArgumentException when the path does not exist or holds nothing that is recognised
   * @throws FormatException when a file is damaged, with the cause and the remedy
   * @throws IOException when a file cannot be read
   */
  public static TrainTest open(Path path) throws IOException {
    Checks.argument(Files.exists(path), "[data] %s does not exist: check the path", path);
    if (Files.isRegularFile(path) && Csv.isTable(path)) {
      return splitOnce("csv", path, Csv.open(path, CsvTable.BY_NAME));
    }
    if (Files.isDirectory(path)) {
      if (Idx.recognises(path)) {
        return Idx.open(path);
      }
      if (Cifar10.recognises(path)) {
        return Cifar10.open(path);
      }
      if (Csv.recognises(path)) {
        return Csv.open(path);
      }
      if (ImageFolder.recognises(path)) {
        return ImageFolder.open(path);
      }
    }
    throw new ArgumentException(
        String.format(
            "[data] %s holds no data set that is known: looked for %s; %s; %s; %s",
            path, Idx.LOOKED_FOR, Cifar10.LOOKED_FOR, Csv.LOOKED_FOR, ImageFolder.LOOKED_FOR));
  }

  /**
   * Reads one IDX file of images with its file of labels.
   *
   * @throws FormatException when a file is damaged or they do not belong together
   * @throws IOException when a file cannot be read
   */
  public static ImageDataset idx(Path images, Path labels) throws IOException {
    return Idx.open(images, labels);
  }

  /**
   * Reads one table whole; its label column is the one named label, class or target, or else the
   * last.
   *
   * @throws FormatException when the file is damaged, a value is missing or not a number
   * @throws IOException when the file cannot be read
   */
  public static TableDataset csv(Path file) throws IOException {
    return Csv.open(file, CsvTable.BY_NAME);
  }

  /**
   * Reads one table whole.
   *
   * @param file comma-, semicolon- or tab-separated text, with a header or without
   * @param labelColumn the column that holds the class, from 0
   * @throws io.gradus.core.ArgumentException when the column is negative
   * @throws FormatException when the file is damaged, a value is missing or not a number
   * @throws IOException when the file cannot be read
   */
  public static TableDataset csv(Path file, int labelColumn) throws IOException {
    Checks.argument(labelColumn >= 0, "[csv] columns count from 0, not from %d", labelColumn);
    return Csv.open(file, labelColumn);
  }

  /** Parts the samples of a source that does not do so itself. */
  static TrainTest splitOnce(String format, Path path, Dataset all) throws FormatException {
    if (all.size() < 2) {
      throw new FormatException(
          String.format(
              "[%s] %s has one sample: add more, as one part of them is for testing",
              format, path));
    }
    return all.split(TEST_FRACTION, SPLIT_SEED);
  }
}
