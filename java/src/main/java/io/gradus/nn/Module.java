package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A part of a network: named parameters, buffers (state without gradient, such as running
 * statistics) and child modules, and a function of one tensor.
 *
 * <p>Names are dotted paths in order of registration, a module's own before its children's: {@code
 * 0.weight}, {@code 0.bias}, {@code 1.running_mean}. Moving and converting change the tensors in
 * place, so whoever holds a parameter sees it.
 *
 * <pre>{@code
 * final class Scale extends Module {
 *   private final Tensor factor = registerParameter("factor", Tensor.ones(1));
 *   public Tensor forward(Tensor x) { return x.mul(factor); }
 * }
 * }</pre>
 */
// The field's name for it; java.lang.Module is not meant where this one is imported.
@SuppressWarnings("JavaLangClash")
public abstract class Module {
  private final Map<String, Tensor> parameters = new LinkedHashMap<>();
  private final Map<String, Tensor> buffers = new LinkedHashMap<>();
  private final Map<String, Module> children = new LinkedHashMap<>();
  private final List<ForwardHook> hooks = new ArrayList<>(0);
  private boolean training = true;

  /** A module in training mode without parameters. */
  protected Module() {}

  /** What runs after a module's forward. */
  @FunctionalInterface
  public interface ForwardHook {
    /** Sees the module's input and output. */
    void after(Module module, Tensor input, Tensor output);
  }

  /**
   * The keys in which a state and a module differ.
   *
   * @param missing names of the module that the state lacks
   * @param unexpected names of the state that the module lacks
   */
  public record LoadResult(List<String> missing, List<String> unexpected) {}

  /** The module's function. Containers use {@link #call}, which also runs hooks. */
  public abstract Tensor forward(Tensor x);

  /** Runs {@link #forward}, then the hooks. */
  public final Tensor call(Tensor x) {
    Tensor y = forward(x);
    for (ForwardHook hook : List.copyOf(hooks)) {
      hook.after(this, x, y);
    }
    return y;
  }

  /**
   * Calls a function after every {@link #call} of this module. A module with a hook is not folded
   * into its neighbour.
   *
   * @return a guard that removes the hook
   */
  public final GradMode.Guard registerForwardHook(ForwardHook hook) {
    hooks.add(hook);
    return () -> hooks.remove(hook);
  }

  final boolean hasHooks() {
    return !hooks.isEmpty();
  }

  // Registration.

  private void checkName(String name) {
    Checks.argument(
        !name.isEmpty() && name.indexOf('.') < 0,
        "[module] the name '%s' must not be empty or contain a dot: dots separate modules",
        name);
    Checks.argument(
        !parameters.containsKey(name) && !buffers.containsKey(name) && !children.containsKey(name),
        "[module] %s has '%s' already: choose another name",
        getClass().getSimpleName(),
        name);
  }

  /**
   * Adds a parameter: a tensor that requires a gradient and outlives every scope.
   *
   * @return the tensor
   * @throws ArgumentException when the name is taken, empty or has a dot
   */
  protected final Tensor registerParameter(String name, Tensor value) {
    checkName(name);
    parameters.put(name, Scope.escape(value).requiresGrad(true));
    return value;
  }

  /**
   * Adds a buffer: a tensor that is saved and moved with the module but has no gradient.
   *
   * @return the tensor
   * @throws ArgumentException when the name is taken, empty or has a dot
   */
  protected final Tensor registerBuffer(String name, Tensor value) {
    checkName(name);
    buffers.put(name, Scope.escape(value));
    return value;
  }

  /**
   * Adds a child.
   *
   * @param <M> the child's class
   * @return the child
   * @throws ArgumentException when the name is taken, empty or has a dot
   */
  protected final <M extends Module> M registerModule(String name, M child) {
    checkName(name);
    children.put(name, child);
    return child;
  }

  // Contents.

  /** The direct children by name. */
  public final Map<String, Module> children() {
    return Collections.unmodifiableMap(children);
  }

  /** This module (named by the empty text) and all below it by dotted name. */
  public final Map<String, Module> namedModules() {
    Map<String, Module> out = new LinkedHashMap<>();
    visit("", out::put);
    return out;
  }

  private void visit(String path, BiConsumer<String, Module> visitor) {
    visitor.accept(path, this);
    children.forEach((name, child) -> child.visit(join(path, name), visitor));
  }

  private static String join(String path, String name) {
    return path.isEmpty() ? name : path + "." + name;
  }

  /** All parameters by dotted name. */
  public final Map<String, Tensor> namedParameters() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    visit("", (path, m) -> m.parameters.forEach((name, t) -> out.put(join(path, name), t)));
    return out;
  }

  /** All buffers by dotted name. */
  public final Map<String, Tensor> namedBuffers() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    visit("", (path, m) -> m.buffers.forEach((name, t) -> out.put(join(path, name), t)));
    return out;
  }

  /** All parameters, each once although several modules may share it. */
  public final List<Tensor> parameters() {
    return distinct(namedParameters().values());
  }

  private static List<Tensor> distinct(Collection<Tensor> tensors) {
    Set<Tensor> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    return tensors.stream().filter(seen::add).toList();
  }

  /** Number of elements of all parameters. */
  public final long parameterCount() {
    return parameters().stream().mapToLong(Tensor::numel).sum();
  }

  /** Number of elements of the parameters registered here, without the children's. */
  final long ownParameterCount() {
    return distinct(parameters.values()).stream().mapToLong(Tensor::numel).sum();
  }

  // Modes.

  /** Whether this module is in training mode. */
  public final boolean isTraining() {
    return training;
  }

  /**
   * Sets training mode, in which dropout drops and batch norm uses the batch, here and below.
   *
   * @return this
   */
  public final Module train() {
    return train(true);
  }

  /**
   * Sets evaluation mode here and below.
   *
   * @return this
   */
  public final Module eval() {
    return train(false);
  }

  /**
   * Sets training or evaluation mode here and below.
   *
   * @return this
   */
  public final Module train(boolean mode) {
    visit("", (path, m) -> m.training = mode);
    return this;
  }

  /** Sets the mode of this module alone. */
  final void setTraining(boolean mode) {
    training = mode;
  }

  /**
   * Excludes all parameters from training: no gradient is computed for them. Batch norm's running
   * statistics still follow the data in training mode; use {@link #eval()} on those parts.
   *
   * @return this
   */
  public final Module freeze() {
    parameters().forEach(p -> p.requiresGrad(false));
    return this;
  }

  /**
   * Includes all parameters in training again.
   *
   * @return this
   */
  public final Module unfreeze() {
    parameters().forEach(p -> p.requiresGrad(true));
    return this;
  }

  /** Forgets the gradients of all parameters. */
  public final void zeroGrad() {
    parameters().forEach(Tensor::zeroGrad);
  }

  /**
   * Moves parameters and buffers to a device, in place; gradients are dropped. Do it before making
   * an optimizer.
   *
   * @return this
   * @throws io.gradus.core.DeviceException when the device cannot be used
   */
  public final Module to(Device device) {
    return convert(t -> t.to(device));
  }

  /**
   * Converts floating parameters and buffers, in place; integers stay as they are and gradients are
   * dropped. Do it before making an optimizer.
   *
   * @return this
   * @throws DTypeException when the type is not floating
   */
  public final Module to(DType dtype) {
    Checks.dtype(dtype.isFloating(), "[to] parameters need a floating type, not %s", dtype);
    return convert(t -> t.dtype().isFloating() ? t.to(dtype) : t);
  }

  private Module convert(UnaryOperator<Tensor> conversion) {
    List<Tensor> all = new ArrayList<>(namedParameters().values());
    all.addAll(namedBuffers().values());
    for (Tensor tensor : distinct(all)) {
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        Tensor before = tensor.detach();
        Tensor after = conversion.apply(before);
        if (after != before) {
          tensor.setData(after);
        }
      }
    }
    return this;
  }

  // State.

  /**
   * All parameters and buffers by dotted name, parameters of a module before its buffers; the
   * tensors share memory with the module.
   */
  public final Map<String, Tensor> stateDict() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    forEachState((name, t) -> out.put(name, t.detach()));
    return out;
  }

  private void forEachState(BiConsumer<String, Tensor> action) {
    visit(
        "",
        (path, m) -> {
          m.parameters.forEach((name, t) -> action.accept(join(path, name), t));
          m.buffers.forEach((name, t) -> action.accept(join(path, name), t));
        });
  }

  /**
   * Copies a state into this module, converting between floating types; every name must match.
   *
   * @throws ArgumentException when a name is missing or unexpected
   * @throws ShapeException when a tensor has another shape
   * @throws DTypeException when one of two types is floating and the other is not
   */
  public final void loadStateDict(Map<String, Tensor> state) {
    loadStateDict(state, true);
  }

  /**
   * Copies a state into this module, converting between floating types. Nothing is changed when it
   * fails.
   *
   * @param state tensors by dotted name
   * @param strict whether every name must match; otherwise others are left alone and returned
   * @return the names that did not match
   * @throws ArgumentException when strict and a name is missing or unexpected
   * @throws ShapeException when a tensor has another shape
   * @throws DTypeException when one of two types is floating and the other is not
   */
  public final LoadResult loadStateDict(Map<String, Tensor> state, boolean strict) {
    Map<String, Tensor> own = new LinkedHashMap<>();
    forEachState(own::put);
    List<String> missing = own.keySet().stream().filter(k -> !state.containsKey(k)).toList();
    List<String> unexpected = state.keySet().stream().filter(k -> !own.containsKey(k)).toList();
    if (strict && !(missing.isEmpty() && unexpected.isEmpty())) {
      throw new ArgumentException(
          "[loadStateDict] the state is of another model: missing "
              + missing
              + ", unexpected "
              + unexpected
              + "; build the model that was saved, or load with strict = false");
    }
    Map<String, Tensor> matching = new LinkedHashMap<>(own);
    matching.keySet().retainAll(state.keySet());
    checkCompatible(matching, state);
    try (GradMode.Guard g = GradMode.noGrad()) {
      matching.forEach((name, target) -> target.copyFrom(get(state, name)));
    }
    return new LoadResult(missing, unexpected);
  }

  private static Tensor get(Map<String, Tensor> state, String name) {
    Tensor tensor = state.get(name);
    if (tensor == null) {
      throw new ArgumentException("[loadStateDict] '" + name + "' is null in the state");
    }
    return tensor;
  }

  private static void checkCompatible(Map<String, Tensor> own, Map<String, Tensor> state) {
    List<String> shapes = new ArrayList<>();
    List<String> types = new ArrayList<>();
    own.forEach(
        (name, target) -> {
          Tensor source = get(state, name);
          if (!source.shape().equals(target.shape())) {
            shapes.add(name + " is " + source.shape() + " instead of " + target.shape());
          } else if (source.dtype() != target.dtype()
              && source.dtype().isFloating() != target.dtype().isFloating()) {
            types.add(name + " is " + source.dtype() + " instead of " + target.dtype());
          }
        });
    if (!shapes.isEmpty()) {
      throw new ShapeException(
          "[loadStateDict] shapes differ: "
              + String.join("; ", shapes)
              + "; build the model that was saved");
    }
    if (!types.isEmpty()) {
      throw new DTypeException(
          "[loadStateDict] types differ: "
              + String.join("; ", types)
              + "; only floating types convert into each other");
    }
  }

  // Description.

  /**
   * Layers with output shapes and numbers of parameters, by a forward pass over zeros in evaluation
   * mode; draws no random numbers and changes nothing.
   */
  public final Summary summary(Shape inputShape) {
    return Summary.of(this, inputShape, null);
  }

  /** As {@link #summary(Shape)}, for a module whose input has another type than its parameters. */
  public final Summary summary(Shape inputShape, DType inputType) {
    return Summary.of(this, inputShape, inputType);
  }

  /** This module's class and settings, without its children. */
  protected String describe() {
    return getClass().getSimpleName();
  }

  /**
   * The activation that this module is, if a norm or convolution before it can compute it as its
   * epilogue.
   */
  protected @Nullable Activation epilogue() {
    return null;
  }

  /** The tree of modules, one a line. */
  @Override
  public final String toString() {
    StringBuilder out = new StringBuilder();
    print(out, "");
    return out.toString();
  }

  private void print(StringBuilder out, String indent) {
    out.append(describe());
    if (children.isEmpty()) {
      return;
    }
    out.append("(\n");
    String deeper = indent + "  ";
    children.forEach(
        (name, child) -> {
          out.append(deeper).append('(').append(name).append("): ");
          child.print(out, deeper);
          out.append('\n');
        });
    out.append(indent).append(')');
  }

  /** Calls a function with this module and all below it. */
  public final void apply(Consumer<Module> action) {
    visit("", (path, m) -> action.accept(m));
  }
}
