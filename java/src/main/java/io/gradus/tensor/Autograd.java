package io.gradus.tensor;

import static java.util.Objects.requireNonNull;

import io.gradus.core.Checks;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Gradients on request, beside {@link Tensor#backward()}. */
public final class Autograd {
  private Autograd() {}

  /**
   * Adds to the {@code grad} of every leaf the gradient of the roots.
   *
   * @param roots tensors to differentiate
   * @param gradients their gradients, of the same shapes
   * @param retainGraph whether saved tensors are kept, so that backward can be called again
   * @param createGraph whether the gradients can be differentiated again
   * @throws IllegalStateException when a root requires no gradient or the graph was freed
   */
  public static void backward(
      Tensor[] roots, Tensor[] gradients, boolean retainGraph, boolean createGraph) {
    check(roots, gradients);
    new Engine(retainGraph || createGraph, createGraph, null, null).run(roots, gradients);
  }

  /**
   * The gradient of a scalar with respect to tensors, without touching any {@code grad}.
   *
   * @param output a tensor of one element
   * @param inputs tensors it depends on
   * @return one gradient per input
   */
  public static Tensor[] grad(Tensor output, Tensor... inputs) {
    return grad(output, inputs, false, false);
  }

  /**
   * The gradient of a scalar with respect to tensors, without touching any {@code grad}.
   *
   * @param output a tensor of one element
   * @param inputs tensors it depends on
   * @param retainGraph whether the graph can be walked again
   * @param createGraph whether the gradients can be differentiated again (implies retainGraph)
   * @return one gradient per input; zeros where the output does not depend on it
   */
  public static Tensor[] grad(
      Tensor output, Tensor[] inputs, boolean retainGraph, boolean createGraph) {
    Checks.shape(
        output.numel() == 1,
        "[grad] output has shape %s: pass its gradient, or reduce it to one element",
        output.shape());
    try (Scope scope = Scope.open()) {
      Tensor[] out =
          grad(
              new Tensor[] {output},
              inputs,
              new Tensor[] {Tensor.full(output.device(), output.dtype(), output.shape(), 1)},
              retainGraph,
              createGraph);
      for (Tensor t : out) {
        scope.keep(t);
      }
      return out;
    }
  }

  /**
   * The gradients of several outputs, weighted by their gradients, with respect to tensors.
   *
   * @param outputs tensors to differentiate
   * @param inputs tensors they depend on
   * @param gradOutputs the outputs' gradients, of the same shapes
   * @param retainGraph whether the graph can be walked again
   * @param createGraph whether the gradients can be differentiated again (implies retainGraph)
   * @return one gradient per input; zeros where no output depends on it
   */
  public static Tensor[] grad(
      Tensor[] outputs,
      Tensor[] inputs,
      Tensor[] gradOutputs,
      boolean retainGraph,
      boolean createGraph) {
    check(outputs, gradOutputs);
    IdentityHashMap<Function, @Nullable Tensor[]> captures = new IdentityHashMap<>();
    for (Tensor input : inputs) {
      Checks.state(
          input.requiresGrad(),
          "[grad] an input %s requires no gradient: call requiresGrad(true) before it is used",
          input.shape());
      Function node = node(input);
      captures.computeIfAbsent(node, n -> new Tensor[n.outputCount()]);
    }
    new Engine(retainGraph || createGraph, createGraph, captures, needed(outputs, captures))
        .run(outputs, gradOutputs);
    Tensor[] result = new Tensor[inputs.length];
    Set<Tensor> handedOut = Collections.newSetFromMap(new IdentityHashMap<>());
    for (int i = 0; i < inputs.length; i++) {
      Function node = node(inputs[i]);
      @Nullable Tensor[] slots = requireNonNull(captures.get(node));
      int slot = inputs[i].requireMeta().outputIndex;
      Tensor gradient = slots[slot];
      // An input named twice gets a handle for each, so that each can be closed.
      result[i] =
          gradient != null
              ? handedOut.add(gradient) ? gradient : gradient.alias()
              : Tensor.zeros(inputs[i].device(), inputs[i].dtype(), inputs[i].shape());
    }
    return result;
  }

  private static Function node(Tensor tensor) {
    AutogradMeta meta = tensor.requireMeta();
    Function producer = meta.producer;
    return producer != null ? producer : Function.accumulator(meta);
  }

  /** Functions on a path from an output to a captured one, the captured ones left out. */
  private static Set<Function> needed(
      Tensor[] outputs, IdentityHashMap<Function, @Nullable Tensor[]> captures) {
    IdentityHashMap<Function, Boolean> reaches = new IdentityHashMap<>();
    Deque<Function> stack = new ArrayDeque<>();
    for (Tensor output : outputs) {
      stack.push(node(output));
    }
    // A function is settled when it is met the second time, after those it leads to.
    Set<Function> entered = Collections.newSetFromMap(new IdentityHashMap<>());
    while (!stack.isEmpty()) {
      Function function = stack.peek();
      if (entered.add(function)) {
        for (int i = 0; i < function.inputCount(); i++) {
          Function next = function.next(i);
          if (next != null && !entered.contains(next)) {
            stack.push(next);
          }
        }
        continue;
      }
      stack.pop();
      boolean reach = false;
      for (int i = 0; i < function.inputCount(); i++) {
        Function next = function.next(i);
        reach |=
            next != null
                && (captures.containsKey(next) || reaches.getOrDefault(next, Boolean.FALSE));
      }
      reaches.put(function, reach);
    }
    Set<Function> needed = Collections.newSetFromMap(new IdentityHashMap<>());
    reaches.forEach(
        (function, reach) -> {
          if (reach) {
            needed.add(function);
          }
        });
    return needed;
  }

  private static void check(Tensor[] roots, Tensor[] gradients) {
    Checks.argument(
        roots.length == gradients.length,
        "[backward] %d tensors but %d gradients",
        roots.length,
        gradients.length);
    for (int i = 0; i < roots.length; i++) {
      Checks.state(
          roots[i].requiresGrad(),
          "[backward] the tensor %s requires no gradient: nothing it was computed from does, or it"
              + " was computed under noGrad",
          roots[i].shape());
      Checks.shape(
          roots[i].shape().equals(gradients[i].shape()),
          "[backward] the gradient has shape %s but the tensor %s",
          gradients[i].shape(),
          roots[i].shape());
      Checks.dtype(
          roots[i].dtype() == gradients[i].dtype(),
          "[backward] the gradient is %s but the tensor %s",
          gradients[i].dtype(),
          roots[i].dtype());
      roots[i].sameDevice("backward", gradients[i]);
    }
  }
}
