package io.gradus.optim;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.tensor.Capture;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Parameters that share their settings. The parameters move to one piece of memory and so do their
 * gradients and every state, each parameter at the same place of each, so that one fused call
 * updates all of them. The learning rate and the numbers of steps live on the device.
 */
public final class ParameterGroup {
  /** Parameters start at multiples of this, so that vector and bulk copies are aligned. */
  private static final int ALIGN_BYTES = 256;

  private static final String MASTER = "master";

  private final List<Tensor> params;
  private final long[] starts;
  private final Device device;
  private final DType dtype;
  private final Tensor values;
  private final Tensor[] valueViews;
  private final Tensor grads;
  private final Tensor[] gradViews;
  private final @Nullable Tensor master;
  private final Map<String, Tensor> states = new LinkedHashMap<>();
  private final Tensor[] stateArray;
  private final Tensor steps;
  private final long[] stepCounts;

  /**
   * Whether a parameter and the one before it were treated differently by a step of which only the
   * device knows whether it was taken: then equal counts here need not be equal there.
   */
  private final boolean[] apart;

  private final Tensor lrTensor;
  private final UpdateRule rule;
  private final @Nullable Parts[] parts;

  /** Whether the rule takes one parameter at a time, in its own shape. */
  private final boolean singly;

  private double lr;

  ParameterGroup(
      List<Tensor> params, double lr, UpdateRule rule, List<String> stateNames, boolean singly) {
    this.params = List.copyOf(params);
    this.rule = rule;
    this.singly = singly;
    this.lr = lr;
    Tensor first = params.get(0);
    this.device = first.device();
    this.dtype = first.dtype();
    long align = ALIGN_BYTES / dtype.bytes();
    starts = new long[params.size() + 1];
    for (int i = 0; i < params.size(); i++) {
      long length = Math.max(1, params.get(i).numel());
      starts[i + 1] = starts[i] + (length + align - 1) / align * align;
    }
    DType stateType = dtype.isHalf() ? DType.FLOAT32 : dtype;
    valueViews = new Tensor[params.size()];
    gradViews = new Tensor[params.size()];
    stepCounts = new long[params.size()];
    apart = new boolean[params.size()];
    parts = new Parts[params.size()];
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      values = arena(dtype);
      grads = arena(dtype);
      for (int i = 0; i < params.size(); i++) {
        Tensor param = params.get(i);
        valueViews[i] = Scope.escape(view(values, i));
        gradViews[i] = Scope.escape(view(grads, i));
        valueViews[i].copyFrom(param);
        param.setData(valueViews[i]);
        param.setGradBuffer(gradViews[i]);
      }
      master = dtype.isHalf() ? Scope.escape(values.to(DType.FLOAT32)) : null;
      for (String name : stateNames) {
        states.put(name, arena(stateType));
      }
      stateArray = states.values().toArray(new Tensor[0]);
      if (master != null) {
        states.put(MASTER, master);
      }
      steps = Scope.escape(Tensor.zeros(device, DType.INT64, Shape.of(params.size())));
      lrTensor = Scope.escape(Tensor.full(device, DType.FLOAT64, Shape.SCALAR, lr));
    }
  }

  private Tensor arena(DType type) {
    return Scope.escape(Tensor.zeros(device, type, Shape.of(starts[starts.length - 1])));
  }

  private Tensor view(Tensor arena, int param) {
    Shape shape = params.get(param).shape();
    return arena.slice(0, starts[param], starts[param] + shape.numel()).reshape(shape.dims());
  }

  /** The parameters. */
  public List<Tensor> params() {
    return params;
  }

  /** The learning rate. */
  public double lr() {
    return lr;
  }

  /**
   * Sets the learning rate of the steps to come.
   *
   * @throws io.gradus.core.ArgumentException when it is negative or not finite
   * @throws io.gradus.core.CaptureException in a captured step, which would set this value each
   *     time; a {@link Scheduler} works there
   */
  public void setLr(double value) {
    Capture.forbid("setLr");
    checkLr(value);
    lr = value;
    lrTensor.fill(value);
  }

  /** The rate on the device, FLOAT64 []. */
  Tensor lrTensor() {
    return lrTensor;
  }

  /** Notes the rate that the device has. */
  void noteLr(double value) {
    lr = value;
  }

  static void checkLr(double lr) {
    Checks.argument(
        Double.isFinite(lr) && lr >= 0, "[optimizer] learning rate %s must be finite and >= 0", lr);
  }

  /** Fills a state with a value, as Adagrad's initial sum. */
  void fillState(int state, double value) {
    stateArray[state].fill(value);
  }

  /** Updates every parameter that has a gradient. */
  void step() {
    runs(prepare(), (from, to) -> update(from, to, null));
  }

  /** Updates them where the flag is 0 on the device. */
  void stepUnless(Tensor foundInf) {
    boolean[] ready = prepare();
    for (int i = 1; i < ready.length; i++) {
      apart[i] |= ready[i] != ready[i - 1];
    }
    runs(ready, (from, to) -> update(from, to, foundInf));
  }

  /** Takes the loss scale out of every gradient and notes whether one is not finite. */
  void unscale(Tensor inverse, Tensor foundInf) {
    runs(prepare(), (from, to) -> Updates.unscaleCheck(part(grads, from, to), inverse, foundInf));
  }

  /** What is done with the parameters of a run. */
  private interface Run {
    void apply(int from, int to);
  }

  /** Applies something to every run of parameters that have a gradient. */
  private void runs(boolean[] ready, Run run) {
    int from = 0;
    while (from < ready.length) {
      int to = from + 1;
      long count = stepCounts[from];
      // One run: neighbours that have a gradient and took the same number of steps so far.
      while (!singly
          && ready[from]
          && to < ready.length
          && ready[to]
          && stepCounts[to] == count
          && !apart[to]) {
        to++;
      }
      if (ready[from]) {
        run.apply(from, to);
      }
      from = to;
    }
  }

  /** Brings parameters and gradients into the arena; which of them have a gradient. */
  private boolean[] prepare() {
    boolean[] ready = new boolean[params.size()];
    for (int i = 0; i < ready.length; i++) {
      ready[i] = prepare(i);
    }
    return ready;
  }

  /** Brings a parameter and its gradient into the arena; false where there is no gradient. */
  private boolean prepare(int i) {
    Tensor param = params.get(i);
    Checks.state(
        param.device().equals(device) && param.dtype() == dtype,
        "[optimizer] parameter %d %s became %s on %s but was %s on %s when the optimizer was made:"
            + " call to(...) before making the optimizer",
        i,
        param.shape(),
        param.dtype(),
        param.device(),
        dtype,
        device);
    if (!Updates.sameMemory(param, valueViews[i])) {
      valueViews[i].copyFrom(param.detach());
      param.setData(valueViews[i]);
    }
    Tensor grad = param.grad();
    if (grad == null || !param.requiresGrad()) {
      return false;
    }
    if (grad != gradViews[i]) {
      param.setGradBuffer(gradViews[i]);
    }
    return true;
  }

  /** The windows of a run of parameters, up to the one before {@code to}. */
  private final class Parts {
    final int to;
    final Tensor stepCounts;
    final Tensor firstCount;
    final Tensor value;
    final Tensor grad;
    final @Nullable Tensor precise;
    final Tensor[] state;

    Parts(int from, int to) {
      this.to = to;
      stepCounts = Scope.escape(steps.slice(0, from, to));
      firstCount = Scope.escape(steps.slice(0, from, from + 1));
      value = Scope.escape(part(values, from, to));
      grad = Scope.escape(part(grads, from, to));
      precise = master == null ? null : Scope.escape(part(master, from, to));
      state = new Tensor[stateArray.length];
      for (int i = 0; i < state.length; i++) {
        state[i] = Scope.escape(part(stateArray[i], from, to));
      }
    }
  }

  /** The windows of a run, made when it is first seen: a training has the same ones each step. */
  private Parts parts(int from, int to) {
    Parts known = parts[from];
    if (known == null || known.to != to) {
      known = new Parts(from, to);
      parts[from] = known;
    }
    return known;
  }

  /** A step of a run, left out where there is a flag (INT32 []) that is not 0 on the device. */
  private void update(int from, int to, @Nullable Tensor foundInf) {
    Parts run = parts(from, to);
    Updates.advanceStep(run.stepCounts, foundInf);
    count(from, to);
    Tensor value = run.value;
    Tensor precise = run.precise;
    if (precise == null) {
      apply(run, value, run.grad, foundInf);
      return;
    }
    Tensor skip = foundInf == null ? null : foundInf.ne(0);
    // Where the 16-bit value was changed by someone else, such as a loaded state, it counts.
    Tensor untouched = precise.to(dtype).eq(value);
    set(precise, Tensor.where(untouched, precise, value.to(DType.FLOAT32)), skip);
    apply(run, precise, run.grad.to(DType.FLOAT32), foundInf);
    set(value, precise.to(dtype), skip);
  }

  private void apply(Parts run, Tensor param, Tensor grad, @Nullable Tensor foundInf) {
    if (foundInf == null) {
      rule.apply(param, grad, lrTensor, run.firstCount, run.state);
      return;
    }
    if (rule instanceof SkippableRule skippable) {
      skippable.apply(param, grad, lrTensor, run.firstCount, run.state, foundInf);
      return;
    }
    // A rule that knows no flag is taken back: the host does not know whether it is set.
    List<Tensor> changed = new ArrayList<>(List.of(run.state));
    changed.add(param);
    List<Tensor> before = changed.stream().map(Tensor::copy).toList();
    rule.apply(param, grad, lrTensor, run.firstCount, run.state);
    Tensor keep = foundInf.eq(0);
    for (int i = 0; i < before.size(); i++) {
      set(changed.get(i), before.get(i), keep);
    }
  }

  private static void set(Tensor target, Tensor value, @Nullable Tensor unless) {
    target.copyFrom(unless == null ? value : Tensor.where(unless, target, value));
  }

  private void count(int from, int to) {
    Capture.count(
        n -> {
          for (int i = from; i < to; i++) {
            stepCounts[i] += n;
          }
        });
  }

  private Tensor part(Tensor arena, int from, int to) {
    return singly ? view(arena, from) : arena.slice(0, starts[from], starts[to]);
  }

  /** Everything but the parameters, by name; the tensors share memory with the group. */
  void save(String prefix, Map<String, Tensor> out) {
    out.put(prefix + "lr", lrTensor.detach());
    out.put(prefix + "step", steps.detach());
    for (int i = 0; i < params.size(); i++) {
      for (Map.Entry<String, Tensor> state : states.entrySet()) {
        out.put(prefix + "param" + i + "." + state.getKey(), view(state.getValue(), i));
      }
    }
  }

  /** Takes what {@link #save} gave, already checked to have the same names and shapes. */
  void load(String prefix, Map<String, Tensor> in) {
    Map<String, Tensor> own = new LinkedHashMap<>();
    save(prefix, own);
    own.forEach((name, target) -> target.copyFrom(States.get("optimizer", in, name)));
    lr = lrTensor.item();
    long[] counts = steps.toLongs();
    System.arraycopy(counts, 0, stepCounts, 0, counts.length);
    Arrays.fill(apart, false);
  }

  /**
   * Number of parameters, learning rate and numbers of steps, those that a {@link LossScaler} left
   * out included: which they are the device alone knows.
   */
  @Override
  public String toString() {
    return "ParameterGroup(params="
        + params.size()
        + ", lr="
        + lr
        + ", steps="
        + Arrays.stream(stepCounts).max().orElse(0)
        + ")";
  }
}
