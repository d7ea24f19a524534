package io.gradus.optim;

import io.gradus.backend.Profiler;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DTypeException;
import io.gradus.core.DeviceException;
import io.gradus.core.ShapeException;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Changes parameters along their gradients. Parameters belong to groups, each with settings of its
 * own. A parameter without a gradient in a step (frozen, or not used) is left as it is, and so are
 * its states and its number of steps.
 *
 * <p>Making the optimizer moves the parameters into memory of their group; everybody who holds them
 * sees the move. Move a module to its device and type before: an optimizer whose parameters changed
 * device or type fails at the next step. 16-bit parameters are updated in a FLOAT32 copy.
 *
 * <pre>{@code
 * Optimizer optimizer = new AdamW(model.parameters(), 1e-3);
 * loss.backward();
 * optimizer.step();
 * optimizer.zeroGrad();
 * }</pre>
 */
public abstract class Optimizer {
  private final List<ParameterGroup> groups = new ArrayList<>();
  private final Set<Tensor> known = Collections.newSetFromMap(new IdentityHashMap<>());

  /** An optimizer without parameters yet. */
  protected Optimizer() {}

  /**
   * Adds a group whose rule takes all parameters with a gradient as one vector.
   *
   * @param params leaves of one floating type on one device
   * @param lr learning rate
   * @param rule what a step does
   * @param states names of the states that the rule wants, zero at first
   * @return the group
   * @throws ArgumentException when there is no parameter, one is in a group already, or the rate is
   *     negative
   * @throws DTypeException when types differ or are not floating
   * @throws DeviceException when devices differ
   * @throws IllegalStateException when a parameter was computed by the graph
   */
  protected final ParameterGroup addGroup(
      List<Tensor> params, double lr, UpdateRule rule, List<String> states) {
    return add(params, lr, rule, states, false);
  }

  /**
   * Adds a group whose rule takes every parameter by itself, in its own shape; else as {@link
   * #addGroup}.
   */
  final ParameterGroup addSingly(
      List<Tensor> params, double lr, UpdateRule rule, List<String> states) {
    return add(params, lr, rule, states, true);
  }

  private ParameterGroup add(
      List<Tensor> params, double lr, UpdateRule rule, List<String> states, boolean singly) {
    Checks.argument(
        !params.isEmpty(), "[optimizer] the list of parameters is empty: pass model.parameters()");
    ParameterGroup.checkLr(lr);
    Tensor first = params.get(0);
    Set<Tensor> fresh = Collections.newSetFromMap(new IdentityHashMap<>());
    for (int i = 0; i < params.size(); i++) {
      Tensor param = params.get(i);
      Checks.dtype(
          param.dtype().isFloating() && param.dtype() == first.dtype(),
          "[optimizer] parameter %d is %s and the first %s: a group has one floating type",
          i,
          param.dtype(),
          first.dtype());
      if (!param.device().equals(first.device())) {
        throw new DeviceException(
            "[optimizer] parameter "
                + i
                + " is on "
                + param.device()
                + " and the first on "
                + first.device()
                + ": move the module with to(device) before");
      }
      Checks.state(
          param.isLeaf(),
          "[optimizer] parameter %d %s was computed by the graph: only leaves can be optimized",
          i,
          param.shape());
      Checks.argument(
          fresh.add(param) && !known.contains(param),
          "[optimizer] parameter %d %s is in a group already: name each parameter once",
          i,
          param.shape());
    }
    ParameterGroup group = new ParameterGroup(params, lr, rule, states, singly);
    known.addAll(fresh);
    groups.add(group);
    return group;
  }

  /** The groups, in the order they were added. */
  public final List<ParameterGroup> groups() {
    return Collections.unmodifiableList(groups);
  }

  /** All parameters of all groups. */
  public final List<Tensor> params() {
    return groups.stream().flatMap(g -> g.params().stream()).toList();
  }

  /** The learning rate of the first group. */
  public final double lr() {
    Checks.state(!groups.isEmpty(), "[optimizer] has no parameters yet: add a group");
    return groups.get(0).lr();
  }

  /**
   * Sets the learning rate of all groups.
   *
   * @throws ArgumentException when it is negative or not finite
   */
  public final void setLr(double lr) {
    groups.forEach(g -> g.setLr(lr));
  }

  /**
   * Changes every parameter that has a gradient.
   *
   * @throws IllegalStateException when a parameter changed its device or type
   */
  public final void step() {
    try (Profiler.Span phase = Profiler.phase(Profiler.Phase.OPTIMIZER);
        Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      groups.forEach(ParameterGroup::step);
    }
  }

  /** As {@link #step()}, where the flag (INT32 []) is 0 on the device; else nothing changes. */
  final void stepUnless(Tensor flag) {
    try (Profiler.Span phase = Profiler.phase(Profiler.Phase.OPTIMIZER);
        Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      groups.forEach(group -> group.stepUnless(flag));
    }
  }

  /** Takes the loss scale out of all gradients; see {@link LossScaler}. */
  final void unscale(Tensor inverse, Tensor foundInf) {
    try (Profiler.Span phase = Profiler.phase(Profiler.Phase.OPTIMIZER);
        Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      groups.forEach(group -> group.unscale(inverse, foundInf));
    }
  }

  /** Forgets all gradients. */
  public final void zeroGrad() {
    known.forEach(Tensor::zeroGrad);
  }

  /**
   * What a resumed run needs beside the parameters: learning rates, numbers of steps and states.
   * The tensors share memory with the optimizer; names are such as {@code group0.param3.exp_avg}.
   */
  public final Map<String, Tensor> stateDict() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    try (GradMode.Guard g = GradMode.noGrad()) {
      for (int i = 0; i < groups.size(); i++) {
        groups.get(i).save(prefix(i), out);
      }
    }
    return out;
  }

  private static String prefix(int group) {
    return "group" + group + ".";
  }

  /**
   * Restores what {@link #stateDict()} gave, bit for bit. Nothing is changed when it fails.
   *
   * @throws ArgumentException when names are missing or unexpected
   * @throws ShapeException when a tensor has another shape
   * @throws DTypeException when a tensor has another type
   */
  public final void loadStateDict(Map<String, Tensor> state) {
    Map<String, Tensor> own = stateDict();
    States.check("optimizer", own, state);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      for (int i = 0; i < groups.size(); i++) {
        groups.get(i).load(prefix(i), state);
      }
    }
  }

  /** The class and its groups. */
  @Override
  public String toString() {
    return getClass().getSimpleName() + groups;
  }
}
