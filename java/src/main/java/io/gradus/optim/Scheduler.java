package io.gradus.optim;

import io.gradus.tensor.Tensor;
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
    step++;
    apply();
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
}
