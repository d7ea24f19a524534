package io.gradus.optim;

import io.gradus.backend.Profiler;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.tensor.Capture;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Sets an optimizer's learning rates by a {@link Schedule}. The rates that the groups have when it
 * is made are their base rates.
 *
 * <pre>{@code
 * Scheduler scheduler = new Scheduler(optimizer, Schedule.cosine(epochs, 0));
 * for (int epoch = 0; epoch < epochs; epoch++) {
 *   trainOneEpoch();
 *   scheduler.step();
 * }
 * }</pre>
 */
public final class Scheduler {
  private final Optimizer optimizer;
  private final Schedule schedule;
  private double[] bases;
  private long step;

  /** Sets the learning rates of step 0. */
  public Scheduler(Optimizer optimizer, Schedule schedule) {
    this.optimizer = optimizer;
    this.schedule = schedule;
    this.bases = optimizer.groups().stream().mapToDouble(ParameterGroup::lr).toArray();
    apply();
  }

  /** Goes to the next step and sets its learning rates. */
  public void step() {
    Capture capture = Capture.current();
    if (capture == null) {
      step++;
      try (Profiler.Span phase = Profiler.phase(Profiler.Phase.OPTIMIZER)) {
        apply();
      }
      return;
    }
    capture.part(this, () -> new Rates(capture.device())).step();
    Capture.count(
        n -> {
          step += n;
          for (int i = 0; i < bases.length; i++) {
            optimizer.groups().get(i).noteLr(schedule.lr(bases[i], step));
          }
        });
  }

  /** The steps taken. */
  public long steps() {
    return step;
  }

  private void apply() {
    for (int i = 0; i < bases.length; i++) {
      optimizer.groups().get(i).setLr(schedule.lr(bases[i], step));
    }
  }

  /** The step and the base rates. */
  public Map<String, Tensor> stateDict() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    out.put("step", Tensor.of(new long[] {step}));
    out.put("base_lr", Tensor.of(bases));
    return out;
  }

  /**
   * Restores what {@link #stateDict()} gave and sets the learning rates of its step.
   *
   * @throws io.gradus.core.ArgumentException when names differ
   * @throws io.gradus.core.ShapeException when the number of groups differs
   */
  public void loadStateDict(Map<String, Tensor> state) {
    States.check("scheduler", stateDict(), state);
    step = States.get("scheduler", state, "step").toLongs()[0];
    bases = States.get("scheduler", state, "base_lr").toDoubles();
    apply();
  }

  /**
   * The rates of the steps to come, for a captured step: the device counts and looks them up by
   * itself. The table is filled again when it ends, or when the scheduler was moved meanwhile.
   */
  private final class Rates implements Capture.Part {
    private static final int LENGTH = 1024;

    private final Tensor index;
    private final Tensor[] tables = new Tensor[bases.length];

    /** The step of the table's first rate. */
    private long first;

    /** The step that the device has come to. */
    private long next;

    private long calls;

    Rates(Device device) {
      index = Scope.escape(Tensor.zeros(device, DType.INT64, Shape.of(1)));
      for (int i = 0; i < tables.length; i++) {
        tables[i] = Scope.escape(Tensor.zeros(device, DType.FLOAT64, Shape.of(LENGTH)));
      }
      fill();
    }

    private void fill() {
      first = step;
      double[] rates = new double[LENGTH];
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        index.fill(0);
        for (int i = 0; i < tables.length; i++) {
          double base = bases[i];
          Arrays.setAll(rates, at -> schedule.lr(base, first + at));
          tables[i].copyFrom(Tensor.of(rates));
        }
      }
    }

    void step() {
      calls++;
      Checks.state(
          calls < LENGTH,
          "[scheduler] a captured run has at most %d steps: capture fewer",
          LENGTH - 1);
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        index.addInPlace(1);
        for (int i = 0; i < tables.length; i++) {
          Updates.lookUp(tables[i], index, optimizer.groups().get(i).lrTensor());
        }
      }
    }

    @Override
    public void finishStep() {
      next = step;
    }

    @Override
    public void beforeReplay() {
      if (step != next || step + calls >= first + LENGTH) {
        fill();
      }
      next = step + calls;
    }

    @Override
    public void close() {
      index.close();
      for (Tensor table : tables) {
        table.close();
      }
    }
  }
}
