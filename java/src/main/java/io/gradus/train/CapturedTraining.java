package io.gradus.train;

import io.gradus.backend.Profiler;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.data.Batch;
import io.gradus.tensor.CapturedStep;
import io.gradus.tensor.Readback;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;

/**
 * The steps of a run, captured: full batches repeat one graph, others, such as the last of an
 * epoch, run eagerly. Results are read one step late, so that the host brings the next batch while
 * the device computes. While a {@link Profiler} runs, so that it sees what a step does, all run
 * eagerly, one after the other.
 */
final class CapturedTraining implements AutoCloseable {
  /** One batch is under way while the one before is read. */
  private static final int SLOTS = 2;

  /** Takes what came of a batch. */
  @FunctionalInterface
  interface Results {
    /** Takes the mean loss, how many samples were classified rightly, and how many there were. */
    void accept(double loss, long correct, int size);
  }

  private final CapturedStep.Step body;
  private final CapturedStep step;
  private final Results results;
  private final Readback[] readbacks = new Readback[SLOTS];
  private final int[] sizes = new int[SLOTS];
  private final int batchSize;
  private long started;
  private long captured;
  private long collected;

  /**
   * Steps on a device.
   *
   * @param batchSize samples of the batches to capture; others run eagerly
   * @param body trains on images and labels; its output is FLOAT64 [2]: mean loss, right answers
   */
  CapturedTraining(Device device, int batchSize, CapturedStep.Step body, Results results) {
    this.batchSize = batchSize;
    this.body = body;
    this.results = results;
    this.step = CapturedStep.of(device, body);
    for (int i = 0; i < SLOTS; i++) {
      readbacks[i] = new Readback(device, DType.FLOAT64, Shape.of(2));
    }
  }

  /** Starts the step of a batch, after the results of the one before the last were collected. */
  void start(Batch data) {
    int slot = (int) (started % SLOTS);
    try (Scope s = Scope.open()) {
      boolean capture = data.size() == batchSize && !Profiler.isRunning();
      captured += capture ? 1 : 0;
      Tensor[] out =
          capture ? step.run(data.x(), data.y()) : body.run(new Tensor[] {data.x(), data.y()});
      readbacks[slot].start(out[0]);
    }
    sizes[slot] = data.size();
    started++;
  }

  /** Collects results until at most so many steps are under way; none under a profiler. */
  void collect(int underWay) {
    int late = Profiler.isRunning() ? 0 : underWay;
    while (started - collected > late) {
      int slot = (int) (collected % SLOTS);
      collected++;
      results.accept(readbacks[slot].get(0), (long) readbacks[slot].get(1), sizes[slot]);
    }
  }

  /** Collects all results and requires that all labels were in range. */
  void finish() {
    collect(0);
    step.check();
  }

  /** Whether the device runs the steps eagerly, since it records nothing; known after two. */
  boolean isEager() {
    return captured >= SLOTS && !step.isReplayed();
  }

  @Override
  public void close() {
    step.close();
    for (Readback readback : readbacks) {
      readback.close();
    }
  }
}
