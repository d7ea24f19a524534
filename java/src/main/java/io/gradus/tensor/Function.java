package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * A differentiable operation: a node of the graph. One instance serves one application; its fields
 * hold the operation's parameters.
 *
 * <p>{@link #backward} works on tensors. It runs with recording on when the caller asked for {@code
 * createGraph}, so gradients of gradients come out where it is composed of differentiable
 * operations.
 *
 * <pre>{@code
 * final class Cube extends Function {
 *   Cube() { super("cube"); }
 *   protected Tensor[] forward(Tensor... in) {
 *     save(in[0]);
 *     return new Tensor[] {in[0].mul(in[0]).mul(in[0])};
 *   }
 *   protected Tensor[] backward(Tensor... g) {
 *     Tensor x = saved(0);
 *     return new Tensor[] {g[0].mul(x.mul(x).mul(3))};
 *   }
 * }
 * Tensor y = new Cube().apply(x);
 * }</pre>
 */
public abstract class Function {
  private static final AtomicLong SEQUENCE = new AtomicLong();
  // Most applications record nothing: they share what is empty.
  private static final SavedTensor[] NOTHING = {};
  private static final @Nullable Function[] NO_FUNCTIONS = {};
  private static final int[] NO_SLOTS = {};
  private static final Shape[] NO_SHAPES = {};
  private static final AutogradMeta[] NO_OUTPUTS = {};

  private final String name;
  private final long sequence = SEQUENCE.incrementAndGet();
  private boolean recording;
  private boolean applied;
  private SavedTensor[] saved = NOTHING;
  private boolean freed;
  private @Nullable Function[] nextFunctions = NO_FUNCTIONS;
  private int[] nextSlots = NO_SLOTS;
  private Shape[] inputShapes = NO_SHAPES;
  private AutogradMeta[] outputs = NO_OUTPUTS;
  private @Nullable Loans loans;
  private @Nullable String callSite;

  /** For subclasses; the name stands in error messages. */
  protected Function(String name) {
    this.name = name;
  }

  /**
   * Computes the outputs. Recording is off inside; {@link #save} keeps what {@link #backward}
   * needs.
   */
  protected abstract Tensor[] forward(Tensor... inputs);

  /**
   * Computes the gradients of the inputs from those of the outputs.
   *
   * @param gradOutputs one gradient per output; null where nothing depends on that output
   * @return one gradient per input; null where {@link #needsGrad} is false or it is zero
   */
  protected abstract @Nullable Tensor[] backward(@Nullable Tensor... gradOutputs);

  /** Keeps tensors for {@link #backward}; does nothing when no gradient will be asked for. */
  protected final void save(Tensor... tensors) {
    if (!recording) {
      return;
    }
    int before = saved.length;
    SavedTensor[] all = Arrays.copyOf(saved, before + tensors.length);
    for (int i = 0; i < tensors.length; i++) {
      all[before + i] = new SavedTensor(tensors[i]);
    }
    saved = all;
  }

  /**
   * A tensor kept by {@link #save}, by its position.
   *
   * @throws IllegalStateException when it was freed by an earlier backward or changed in place
   */
  protected final Tensor saved(int index) {
    if (freed) {
      throw new IllegalStateException(
          "["
              + name
              + "] backward was called twice: the saved tensors were freed by the first call; call"
              + " backward with retainGraph to keep them");
    }
    return saved[index].unpack(name);
  }

  /** Whether the gradient of an input is wanted. */
  protected final boolean needsGrad(int input) {
    return input < nextFunctions.length && nextFunctions[input] != null;
  }

  /** Whether there will be a backward: otherwise nothing needs to be kept for one. */
  protected final boolean isRecording() {
    return recording;
  }

  /**
   * Memory for the gradient of an input, dense and of undefined contents: in {@link #backward},
   * what a leaf's gradient would be copied to anyway, and new memory otherwise.
   */
  final Tensor emptyGradient(int input, Backend backend, DType dtype, Shape shape) {
    Tensor place = borrow(input, backend, dtype, shape, false);
    return place != null ? place : Tensor.empty(backend, dtype, shape);
  }

  /**
   * In {@link #backward}, a leaf's gradient that this one would be added to: who gets it adds to it
   * and returns it as the gradient of the input. Null where there is none.
   */
  final @Nullable Tensor gradientToAddTo(int input, Backend backend, DType dtype, Shape shape) {
    return borrow(input, backend, dtype, shape, true);
  }

  private @Nullable Tensor borrow(
      int input, Backend backend, DType dtype, Shape shape, boolean adds) {
    return loans != null && nextFunctions[input] instanceof AccumulateGrad end
        ? end.leaf.lendGrad(backend, dtype, shape, adds, loans)
        : null;
  }

  /** What leaves lend to the backward that runs. */
  final @Nullable Loans loans() {
    return loans;
  }

  /** How many inputs it was applied to. */
  protected final int inputCount() {
    return nextFunctions.length;
  }

  /** The operation's name. */
  public final String name() {
    return name;
  }

  long sequence() {
    return sequence;
  }

  /**
   * Applies an operation of one output.
   *
   * @throws IllegalStateException when the instance was applied before
   */
  public final Tensor apply(Tensor... inputs) {
    return applyAll(inputs)[0];
  }

  /**
   * Applies the operation and records it when an input requires a gradient.
   *
   * @throws IllegalStateException when the instance was applied before
   */
  public final Tensor[] applyAll(Tensor... inputs) {
    if (applied) {
      throw new IllegalStateException(
          "[" + name + "] a Function instance serves one application: make a new one");
    }
    applied = true;
    recording = GradMode.isEnabled() && anyRequiresGrad(inputs);
    if (AnomalyMode.isEnabled()) {
      callSite = AnomalyMode.callSite();
    }
    Tensor[] results;
    boolean done = false;
    try (Scope scope = Scope.open();
        GradMode.Guard guard = GradMode.noGrad();
        Precision.Guard asGiven = Precision.suspend()) {
      if (recording) {
        link(inputs);
      }
      results = forward(inputs);
      for (int i = 0; i < results.length; i++) {
        if (results[i].owner() != scope) {
          // An input handed through is a new value to the graph.
          results[i] = results[i].detach();
        }
        scope.keep(results[i]);
      }
      done = true;
    } finally {
      if (!done) {
        freeSaved();
      }
    }
    if (callSite != null) {
      AnomalyMode.checkForward(name, callSite, results);
    }
    if (recording) {
      outputs = new AutogradMeta[results.length];
      for (int i = 0; i < results.length; i++) {
        AutogradMeta meta = new AutogradMeta();
        if (results[i].dtype().isFloating()) {
          meta.requiresGrad = true;
          meta.producer = this;
          meta.outputIndex = i;
          results[i].setMeta(meta);
        }
        outputs[i] = meta;
      }
    }
    return results;
  }

  private static boolean anyRequiresGrad(Tensor[] inputs) {
    for (Tensor input : inputs) {
      if (input.requiresGrad()) {
        return true;
      }
    }
    return false;
  }

  private void link(Tensor[] inputs) {
    nextFunctions = new Function[inputs.length];
    nextSlots = new int[inputs.length];
    inputShapes = new Shape[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      inputShapes[i] = inputs[i].shape();
      AutogradMeta meta = inputs[i].meta();
      if (meta == null || !meta.requiresGrad) {
        continue;
      }
      Function producer = meta.producer;
      if (producer != null) {
        nextFunctions[i] = producer;
        nextSlots[i] = meta.outputIndex;
      } else {
        nextFunctions[i] = accumulator(meta);
      }
    }
  }

  static AccumulateGrad accumulator(AutogradMeta leaf) {
    AccumulateGrad accumulator = leaf.accumulator;
    if (accumulator == null) {
      accumulator = new AccumulateGrad(leaf);
      leaf.accumulator = accumulator;
    }
    return accumulator;
  }

  @Nullable Function next(int input) {
    return nextFunctions[input];
  }

  int nextSlot(int input) {
    return nextSlots[input];
  }

  int outputCount() {
    return Math.max(1, outputs.length);
  }

  @Nullable AutogradMeta output(int index) {
    return index < outputs.length ? outputs[index] : null;
  }

  @Nullable String callSite() {
    return callSite;
  }

  /**
   * Applies backward and checks what a user's function may have got wrong.
   *
   * @param loans what leaves lend, where their gradients are on their way to {@code grad} without a
   *     graph of their own; else null
   */
  @Nullable Tensor[] runBackward(@Nullable Tensor[] gradOutputs, @Nullable Loans loans) {
    this.loans = loans;
    @Nullable Tensor[] gradients = backward(gradOutputs);
    Checks.shape(
        gradients.length >= inputShapes.length,
        "[%s] backward gave %d gradients for %d inputs",
        name,
        gradients.length,
        inputShapes.length);
    for (int i = 0; i < inputShapes.length; i++) {
      Tensor gradient = gradients[i];
      Checks.shape(
          gradient == null || gradient.shape().equals(inputShapes[i]),
          "[%s] backward gave a gradient of shape %s for input %d of shape %s",
          name,
          gradient == null ? "" : gradient.shape(),
          i,
          inputShapes[i]);
    }
    return gradients;
  }

  /** Releases what was saved; the graph can't be walked again. */
  final void freeSaved() {
    freed = saved.length > 0;
    for (SavedTensor tensor : saved) {
      tensor.free();
    }
    saved = NOTHING;
  }
}
