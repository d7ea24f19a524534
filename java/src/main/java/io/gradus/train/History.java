package io.gradus.train;

import de.siegmar.fastcsv.writer.CsvWriter;
import io.gradus.io.AtomicFiles;
import io.gradus.io.CheckpointData;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/** The results of a run, epoch by epoch. */
public final class History {
  private final List<EpochResult> epochs = new ArrayList<>();

  /** An empty history. */
  public History() {}

  /** The epochs so far, in order. */
  public List<EpochResult> epochs() {
    return Collections.unmodifiableList(epochs);
  }

  /** Adds an epoch. */
  public void add(EpochResult result) {
    epochs.add(result);
  }

  /**
   * The last epoch.
   *
   * @throws IllegalStateException when there is none
   */
  public EpochResult last() {
    if (epochs.isEmpty()) {
      throw new IllegalStateException("[history] no epoch has been trained yet");
    }
    return epochs.get(epochs.size() - 1);
  }

  /**
   * Writes the columns epoch, train_loss, train_accuracy, test_loss, test_accuracy,
   * images_per_second and seconds.
   *
   * @throws IOException when the file cannot be written; an older one stays then
   */
  public void writeCsv(Path file) throws IOException {
    StringWriter text = new StringWriter();
    try (CsvWriter csv = CsvWriter.builder().build(text)) {
      csv.writeRecord(
          "epoch",
          "train_loss",
          "train_accuracy",
          "test_loss",
          "test_accuracy",
          "images_per_second",
          "seconds");
      for (EpochResult e : epochs) {
        csv.writeRecord(
            Integer.toString(e.epoch()),
            decimal(e.trainLoss(), 8),
            decimal(e.trainAccuracy(), 8),
            decimal(e.testLoss(), 8),
            decimal(e.testAccuracy(), 8),
            decimal(e.imagesPerSecond(), 1),
            decimal(e.seconds(), 2));
      }
    }
    AtomicFiles.writeString(file, text.toString());
  }

  void save(CheckpointData data) {
    for (EpochResult e : epochs) {
      String key = key(e.epoch());
      data.putDouble(key + "trainLoss", e.trainLoss())
          .putDouble(key + "trainAccuracy", e.trainAccuracy())
          .putDouble(key + "testLoss", e.testLoss())
          .putDouble(key + "testAccuracy", e.testAccuracy())
          .putDouble(key + "imagesPerSecond", e.imagesPerSecond())
          .putDouble(key + "seconds", e.seconds());
    }
  }

  /** Adds the first epochs of a checkpoint. */
  void load(CheckpointData data, int count) {
    for (int epoch = 1; epoch <= count; epoch++) {
      String key = key(epoch);
      add(
          new EpochResult(
              epoch,
              data.getDouble(key + "trainLoss"),
              data.getDouble(key + "trainAccuracy"),
              data.getDouble(key + "testLoss"),
              data.getDouble(key + "testAccuracy"),
              data.getDouble(key + "imagesPerSecond"),
              data.getDouble(key + "seconds")));
    }
  }

  private static String key(int epoch) {
    return "history." + epoch + ".";
  }

  private static String decimal(double value, int places) {
    return Double.isFinite(value)
        ? String.format(Locale.ROOT, "%." + places + "f", value)
        : Double.toString(value);
  }
}
