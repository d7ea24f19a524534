package io.gradus.train;

import io.gradus.io.CheckpointData;

/** Where a run stands, and its sums over the epoch so far; all of it is in a checkpoint. */
final class Progress {
  /** Classified elements of a sample: 1, or the characters of an excerpt. */
  private final int answers;

  private int epoch;
  private int batch;
  private double lossSum;
  private long correct;
  private long seen;
  private double secondsBefore;

  private long began = System.nanoTime();
  private long seenBefore;

  Progress(int answers) {
    this.answers = answers;
  }

  /** Epochs that ended. */
  int epoch() {
    return epoch;
  }

  /** Batches of this epoch that were trained. */
  int batch() {
    return batch;
  }

  /** Begins an epoch, or goes on with it: time counts from here. */
  void begin() {
    began = System.nanoTime();
    seenBefore = seen;
  }

  /** Notes a batch: its mean loss, how many elements were classified rightly, and of how many. */
  void count(double meanLoss, long right, int size) {
    correct += right;
    lossSum += meanLoss * size;
    seen += size;
    batch++;
  }

  /** Mean loss of the epoch so far. */
  double loss() {
    return lossSum / Math.max(1, seen);
  }

  /** Accuracy of the epoch so far, from 0 to 1. */
  double accuracy() {
    return (double) correct / Math.max(1, seen);
  }

  /** Seconds since {@link #begin}. */
  double elapsed() {
    return (System.nanoTime() - began) * 1e-9;
  }

  /**
   * The results of the epoch; the next one is begun.
   *
   * @param trainSeconds of {@link #elapsed}, without the test
   */
  EpochResult endEpoch(double trainSeconds, double testLoss, double testAccuracy) {
    EpochResult result =
        new EpochResult(
            epoch + 1,
            loss(),
            accuracy(),
            testLoss,
            testAccuracy,
            (double) (seen - seenBefore) / answers / Math.max(1e-9, trainSeconds),
            secondsBefore + elapsed());
    epoch++;
    batch = 0;
    lossSum = 0;
    correct = 0;
    seen = 0;
    secondsBefore = 0;
    begin();
    return result;
  }

  void save(CheckpointData data) {
    data.putLong("epoch", epoch)
        .putLong("batch", batch)
        .putDouble("lossSum", lossSum)
        .putLong("correct", correct)
        .putLong("seen", seen)
        .putDouble("seconds", secondsBefore + elapsed());
  }

  void load(CheckpointData data) {
    epoch = (int) data.getLong("epoch");
    batch = (int) data.getLong("batch");
    lossSum = data.getDouble("lossSum");
    correct = data.getLong("correct");
    seen = data.getLong("seen");
    secondsBefore = data.getDouble("seconds");
  }

  /** Where a resumed run goes on. */
  String resumed() {
    return batch == 0
        ? "resumed after epoch " + epoch
        : "resumed in epoch " + (epoch + 1) + " after batch " + batch;
  }
}
