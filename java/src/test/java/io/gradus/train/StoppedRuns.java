package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Runs that a test ends before their time, and what is left of them. */
final class StoppedRuns {
  private StoppedRuns() {}

  /** Ends a run as a kill would: after the checkpoint of one batch, within the next. */
  static final class Stop extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** Counts batches and notes what it is told, and may end the run after some batches. */
  static final class Listener implements TrainingListener {
    private final List<String> notes = new ArrayList<>();
    private final int stopAt;
    private int trained;

    /** One that ends nothing. */
    Listener() {
      this(0);
    }

    /** One that ends the run in the batch of this number, from 1; never in 0. */
    Listener(int stopAt) {
      this.stopAt = stopAt;
    }

    List<String> notes() {
      return notes;
    }

    int trained() {
      return trained;
    }

    @Override
    public void batchTrained(int batch, double meanLoss, double accuracy) {
      trained++;
      if (trained == stopAt) {
        throw new Stop();
      }
    }

    @Override
    public void note(String message) {
      notes.add(message);
    }
  }

  /** Compares what runs left, and names what differs, rather than print all of it. */
  static void assertSameState(Map<String, Object> expected, Map<String, Object> actual) {
    assertEquals(expected.keySet(), actual.keySet());
    List<String> differing =
        expected.keySet().stream()
            .filter(name -> !expected.get(name).equals(actual.get(name)))
            .toList();
    assertEquals(List.of(), differing);
  }
}
