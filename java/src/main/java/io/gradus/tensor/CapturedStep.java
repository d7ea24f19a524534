package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.backend.Profiler;
import io.gradus.backend.RecordedWork;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Device;
import io.gradus.core.GradusException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A step that is captured once and then repeated in one call: forward, loss, backward, clipping,
 * optimizer, schedule, moving averages and dropout go to the device as a single graph, without
 * Java, without allocations and without garbage. Bit for bit it does what the step would do
 * eagerly.
 *
 * <pre>{@code
 * try (CapturedStep step = CapturedStep.of(device, in -> {
 *   Tensor loss = Loss.crossEntropy(model.call(in[0]), in[1]);
 *   optimizer.zeroGrad();
 *   loss.backward();
 *   Clip.byNorm(model.parameters(), 1);
 *   optimizer.step();
 *   scheduler.step();
 *   return new Tensor[] {loss};
 * })) {
 *   for (Batch batch : batches) {
 *     Tensor loss = step.run(batch.x(), batch.y())[0];
 *   }
 * }
 * }</pre>
 *
 * <p>The first {@link #run} is eager, so that whatever a step makes once is made; the second
 * records the step, which plans its memory, and runs it; the others repeat it. The inputs are
 * copied to where the first ones lay, and the outputs are the same tensors each time, with new
 * contents.
 *
 * <p>What changes from step to step lies on the device: learning rates (through {@code Scheduler},
 * or set between runs), numbers of steps, the state of the generator, the loss scale. A number that
 * the step's Java code computes is taken as it is when the step is recorded. Reading values ({@link
 * Tensor#item()}), bringing data from the host and waiting for the device fail in a step with a
 * {@link io.gradus.core.CaptureException}. Labels and indices are checked on the device, see {@link
 * #check()}.
 *
 * <p>On a device that records nothing, such as {@code reference}, every run is eager, with the same
 * results; {@link #isReplayed()} tells. One thread uses it at a time.
 */
public final class CapturedStep implements AutoCloseable {
  /** What a step does with its inputs; the outputs are what is to be seen of it. */
  @FunctionalInterface
  public interface Step {
    /** Does the step and gives tensors of the device, or none. */
    Tensor[] run(Tensor[] inputs);
  }

  private final Backend backend;
  private final Device device;
  private final int repeats;
  private final Step step;
  private boolean eager;
  private Tensor @Nullable [] inputs;
  private Tensor[] outputs = new Tensor[0];
  private @Nullable Capture capture;
  private @Nullable RecordedWork work;
  private @Nullable Tensor violations;
  private @Nullable Readback violationCounts;
  private boolean closed;

  private CapturedStep(Device device, int repeats, Step step) {
    Checks.argument(repeats >= 1, "[capture] %d steps a run: must be at least 1", repeats);
    this.device = device;
    this.backend = Backends.of(device);
    this.repeats = repeats;
    this.step = step;
  }

  /**
   * A step on a device; nothing runs yet.
   *
   * @throws io.gradus.core.DeviceException when the device cannot be used
   */
  public static CapturedStep of(Device device, Step step) {
    return new CapturedStep(device, 1, step);
  }

  /**
   * Several steps in one run. Inputs have a leading axis of so many steps, of which each step gets
   * its part, and the outputs of the steps are stacked along one.
   *
   * @throws io.gradus.core.ArgumentException when there is no step
   * @throws io.gradus.core.DeviceException when the device cannot be used
   */
  public static CapturedStep of(Device device, int repeats, Step step) {
    return new CapturedStep(device, repeats, step);
  }

  /**
   * Runs the step.
   *
   * @param in of the shapes and types of the first run, on any device
   * @return the outputs, on the device and outside the graph of gradients; they hold until the next
   *     run, and are closed with this step
   * @throws io.gradus.core.ShapeException when a shape differs from that of the first run
   * @throws io.gradus.core.DTypeException when a type differs from that of the first run
   * @throws io.gradus.core.CaptureException when the step does what cannot be captured; the device
   *     then has done nothing of it, and the next run tries again
   * @throws io.gradus.core.ArgumentException when labels or indices of runs before were out of
   *     range
   */
  public Tensor[] run(Tensor... in) {
    Checks.state(!closed, "[capture] use after close: this captured step was freed");
    Capture.forbid("capturedStep");
    boolean first = inputs == null;
    bring(in);
    RecordedWork recorded = work;
    if (recorded != null) {
      Capture known = captured();
      known.beforeReplay();
      Profiler.launch(backend, recorded);
      known.counted(1);
    } else if (first || eager) {
      replaceOutputs(once());
    } else {
      record();
    }
    checkIfThere();
    return outputs;
  }

  /** Whether runs repeat recorded work: from the second run on, where the device can record. */
  public boolean isReplayed() {
    return work != null;
  }

  /**
   * Waits for the runs so far and requires that no label or index was out of range in them. Such a
   * one is found out a little later than in eager operation; until then the nearest one in range is
   * taken in its place, so that nothing is read or written beside a tensor.
   *
   * @throws io.gradus.core.ArgumentException when one was out of range
   */
  public void check() {
    Readback counts = violationCounts;
    Tensor now = violations;
    if (counts != null && now != null) {
      counts.start(now);
      captured().requireNone(counts);
    }
  }

  /** Looks at the counts that have arrived and begins to bring the next ones. */
  private void checkIfThere() {
    Readback counts = violationCounts;
    Tensor now = violations;
    if (counts != null && now != null && counts.isDone()) {
      captured().requireNone(counts);
      counts.start(now);
    }
  }

  private Capture captured() {
    Capture known = capture;
    if (known == null) {
      throw new IllegalStateException("[capture] the step is not recorded yet");
    }
    return known;
  }

  /** Copies the inputs to where the step reads them. */
  private void bring(Tensor[] in) {
    Tensor[] own = inputs;
    if (own == null) {
      own = new Tensor[in.length];
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        for (int i = 0; i < in.length; i++) {
          checkRepeats(i, in[i]);
          own[i] = Tensor.empty(backend, in[i].dtype(), in[i].shape()).copyFrom(in[i]);
        }
        for (Tensor input : own) {
          Scope.escape(input);
        }
      }
      inputs = own;
      return;
    }
    if (in.length != own.length) {
      throw new ArgumentException(
          "[capture] " + in.length + " inputs, but the first run had " + own.length);
    }
    for (int i = 0; i < in.length; i++) {
      if (!in[i].shape().equals(own[i].shape()) || in[i].dtype() != own[i].dtype()) {
        throw mismatch(i, in[i], own[i]);
      }
    }
    for (int i = 0; i < in.length; i++) {
      Tensor from = in[i];
      if (from.isOn(backend) && from.isContiguous()) {
        from.backend().cast(from.buffer(), own[i].buffer());
      } else {
        own[i].copyFrom(from);
      }
    }
  }

  private static GradusException mismatch(int i, Tensor from, Tensor to) {
    return from.dtype() == to.dtype()
        ? new ShapeException(
            String.format(
                "[capture] input %d has shape %s, but the captured step's %s: run other shapes"
                    + " eagerly, or capture a step for them",
                i, from.shape(), to.shape()))
        : new DTypeException(
            String.format(
                "[capture] input %d is %s, but the captured step's %s",
                i, from.dtype(), to.dtype()));
  }

  private void checkRepeats(int i, Tensor input) {
    Checks.shape(
        repeats == 1 || (input.rank() > 0 && input.size(0) == repeats),
        "[capture] input %d has shape %s: a run of %d steps needs a first axis of that length",
        i,
        input.shape(),
        repeats);
  }

  /** Does the step, or all steps of a run, and gives outputs that belong to no scope. */
  private Tensor[] once() {
    Tensor[] own = inputs == null ? new Tensor[0] : inputs;
    try (Scope s = Scope.open()) {
      Tensor[] out = repeats == 1 ? step.run(own.clone()) : repeated(own);
      Tensor[] kept = new Tensor[out.length];
      try (GradMode.Guard g = GradMode.noGrad()) {
        for (int i = 0; i < out.length; i++) {
          Checks.argument(
              out[i].isOn(backend),
              "[capture] output %d is on %s and not on %s",
              i,
              out[i].device(),
              device);
          kept[i] = out[i].detach().contiguous();
          if (kept[i] == out[i]) {
            kept[i] = out[i].alias();
          }
        }
      }
      for (Tensor output : kept) {
        Scope.escape(output);
      }
      return kept;
    }
  }

  private Tensor[] repeated(Tensor[] own) {
    Tensor[][] all = new Tensor[repeats][];
    for (int j = 0; j < repeats; j++) {
      Tensor[] part = new Tensor[own.length];
      for (int i = 0; i < own.length; i++) {
        part[i] = own[i].select(0, j);
      }
      all[j] = step.run(part);
    }
    try (GradMode.Guard g = GradMode.noGrad()) {
      Tensor[] stacked = new Tensor[all[0].length];
      for (int i = 0; i < stacked.length; i++) {
        Tensor[] parts = new Tensor[repeats];
        for (int j = 0; j < repeats; j++) {
          parts[j] = all[j][i].detach();
        }
        stacked[i] = Tensor.stack(0, parts);
      }
      return stacked;
    }
  }

  private void record() {
    Capture begun = Capture.begin(backend);
    if (begun == null) {
      eager = true;
      replaceOutputs(once());
      return;
    }
    boolean recorded = false;
    try {
      Tensor[] out = once();
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        begun.finishStep();
        Tensor counts = begun.violations();
        violations = counts == null ? null : Scope.escape(counts);
      }
      work = begun.recording().end();
      capture = begun;
      replaceOutputs(out);
      recorded = true;
    } finally {
      begun.leave();
      if (!recorded) {
        begun.counted(-1);
        begun.close();
      }
    }
    Tensor counts = violations;
    Profiler.launch(backend, work);
    if (counts != null) {
      violationCounts = new Readback(device, DType.INT64, counts.shape());
      violationCounts.start(counts);
    }
  }

  private void replaceOutputs(Tensor[] fresh) {
    Tensor[] old = outputs;
    outputs = fresh;
    close(old);
  }

  private static void close(Tensor[] tensors) {
    for (Tensor tensor : tensors) {
      if (!tensor.isClosed()) {
        tensor.close();
      }
    }
  }

  /** Frees the recorded work, its memory, and the outputs; waits for the runs. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (violationCounts != null) {
      violationCounts.close();
    }
    if (violations != null) {
      violations.close();
    }
    close(outputs);
    outputs = new Tensor[0];
    if (inputs != null) {
      close(inputs);
    }
    if (work != null) {
      work.close();
    }
    if (capture != null) {
      capture.close();
    }
  }

  /** Device, number of steps, and the shapes of the inputs. */
  @Override
  public String toString() {
    Tensor[] own = inputs;
    return "CapturedStep("
        + device
        + ", steps="
        + repeats
        + ", inputs="
        + (own == null
            ? "none yet"
            : Arrays.stream(own).map(Tensor::shape).map(Shape::toString).toList())
        + ")";
  }
}
