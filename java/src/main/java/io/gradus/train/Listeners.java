package io.gradus.train;

import java.io.IOException;
import java.util.List;

/**
 * Several listeners as one.
 *
 * @param all who is told, in this order
 */
record Listeners(List<TrainingListener> all) implements TrainingListener {
  Listeners {
    all = List.copyOf(all);
  }

  @Override
  public void epochStarted(int epoch, int epochs, int batches, int done) {
    all.forEach(l -> l.epochStarted(epoch, epochs, batches, done));
  }

  @Override
  public void batchTrained(int batch, double meanLoss, double accuracy) {
    all.forEach(l -> l.batchTrained(batch, meanLoss, accuracy));
  }

  @Override
  public void epochEnded(History history, int epochs) throws IOException {
    for (TrainingListener listener : all) {
      listener.epochEnded(history, epochs);
    }
  }

  @Override
  public void note(String message) {
    all.forEach(l -> l.note(message));
  }
}
