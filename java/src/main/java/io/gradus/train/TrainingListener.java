package io.gradus.train;

import java.io.IOException;

/** Is told how a training run goes, in the thread that trains. */
public interface TrainingListener {
  /**
   * An epoch begins.
   *
   * @param epoch number from 1
   * @param epochs how many there will be
   * @param batches batches of the epoch
   * @param done batches already trained before a resumed run was stopped
   */
  default void epochStarted(int epoch, int epochs, int batches, int done) {}

  /**
   * A batch was trained.
   *
   * @param batch number from 1
   * @param meanLoss mean loss of the epoch so far
   * @param accuracy accuracy of the epoch so far, from 0 to 1
   */
  default void batchTrained(int batch, double meanLoss, double accuracy) {}

  /**
   * An epoch and its evaluation ended.
   *
   * @param history all epochs, this one last
   * @param epochs how many there will be
   * @throws IOException when what it writes cannot be written: the run ends then
   */
  default void epochEnded(History history, int epochs) throws IOException {}

  /** Something the user should know happened, such as that training stopped early. */
  default void note(String message) {}
}
