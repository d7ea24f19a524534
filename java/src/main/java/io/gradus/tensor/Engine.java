package io.gradus.tensor;

import static java.util.Objects.requireNonNull;

import io.gradus.backend.Profiler;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.PriorityQueue;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Walks the graph from roots to leaves. A function is applied after all that consumed its outputs:
 * these were recorded later, so taking the highest sequence number first is a topological order.
 */
final class Engine {
  private final boolean retainGraph;
  private final boolean createGraph;
  private final IdentityHashMap<Function, @Nullable Tensor[]> gradients = new IdentityHashMap<>();
  private final PriorityQueue<Function> ready =
      new PriorityQueue<>(Comparator.comparingLong(Function::sequence).reversed());

  /** Where gradients are asked for rather than accumulated: function, output slot, and result. */
  private final @Nullable IdentityHashMap<Function, @Nullable Tensor[]> captures;

  private final @Nullable Set<Function> needed;

  /** What leaves lend; null where the gradients are not on their way to leaves. */
  private final @Nullable Loans loans;

  Engine(
      boolean retainGraph,
      boolean createGraph,
      @Nullable IdentityHashMap<Function, @Nullable Tensor[]> captures,
      @Nullable Set<Function> needed) {
    this.retainGraph = retainGraph;
    this.createGraph = createGraph;
    this.captures = captures;
    this.needed = needed;
    this.loans = captures == null && !createGraph ? new Loans() : null;
  }

  /** Propagates the gradients of the roots. */
  void run(Tensor[] roots, Tensor[] rootGradients) {
    try (Profiler.Span phase = Profiler.phase(Profiler.Phase.BACKWARD);
        Scope scope = Scope.open();
        GradMode.Guard mode = GradMode.set(createGraph);
        Precision.Guard asInForward = Precision.suspend()) {
      propagate(roots, rootGradients);
      if (captures != null) {
        for (@Nullable Tensor[] slots : captures.values()) {
          for (Tensor gradient : slots) {
            if (gradient != null) {
              scope.keep(gradient);
            }
          }
        }
      }
    } finally {
      if (loans != null) {
        loans.end();
      }
    }
  }

  private void propagate(Tensor[] roots, Tensor[] rootGradients) {
    for (int i = 0; i < roots.length; i++) {
      AutogradMeta meta = roots[i].requireMeta();
      Function producer = meta.producer;
      Function function = producer != null ? producer : Function.accumulator(meta);
      add(function, meta.outputIndex, rootGradients[i].alias());
    }
    while (true) {
      Function function = ready.poll();
      if (function == null) {
        break;
      }
      visit(function, gradients.remove(function));
    }
  }

  private void visit(Function function, @Nullable Tensor @Nullable [] slots) {
    if (slots == null) {
      return;
    }
    hooks(function, slots);
    if (captures != null) {
      @Nullable Tensor[] captured = captures.get(function);
      if (captured != null) {
        for (int i = 0; i < slots.length; i++) {
          Tensor gradient = slots[i];
          captured[i] = gradient == null ? null : gradient.alias();
        }
      }
    }
    boolean wanted = needed == null || needed.contains(function);
    boolean leaf = function instanceof AccumulateGrad;
    if (wanted && !(leaf && captures != null)) {
      @Nullable Tensor[] results = backward(function, slots);
      for (int i = 0; i < results.length && i < function.inputCount(); i++) {
        Function next = function.next(i);
        Tensor gradient = results[i];
        if (next != null && gradient != null) {
          add(next, function.nextSlot(i), gradient);
        }
      }
    }
    for (Tensor slot : slots) {
      if (slot != null) {
        slot.close();
      }
    }
    if (!retainGraph && !leaf) {
      function.freeSaved();
    }
  }

  private static void hooks(Function function, @Nullable Tensor[] slots) {
    for (int i = 0; i < slots.length; i++) {
      Tensor gradient = slots[i];
      AutogradMeta meta = function instanceof AccumulateGrad leaf ? leaf.leaf : function.output(i);
      if (gradient == null || meta == null) {
        continue;
      }
      if (!meta.hooks.isEmpty()) {
        Tensor replaced = meta.runHooks(gradient);
        if (replaced != gradient) {
          slots[i] = replaced.alias();
          gradient.close();
        }
      }
      if (meta.retainGrad && meta.producer != null) {
        meta.accumulate(requireNonNull(slots[i]), null);
      }
    }
  }

  /** Runs one backward in a scope of its own; every result is a handle that nobody else holds. */
  private @Nullable Tensor[] backward(Function function, @Nullable Tensor[] slots) {
    try (Scope scope = Scope.open()) {
      @Nullable Tensor[] results;
      // A NaN made by what a backward is composed of is the differentiated operation's.
      try (GradMode.Guard off = AnomalyMode.suspend()) {
        results = function.runBackward(slots.clone(), loans);
      }
      for (int i = 0; i < results.length; i++) {
        Tensor gradient = results[i];
        if (gradient == null) {
          continue;
        }
        boolean own = gradient.owner() == scope;
        for (int j = 0; j < i; j++) {
          own &= results[j] != gradient;
        }
        Tensor handle = own ? gradient : gradient.alias();
        scope.keep(handle);
        results[i] = handle;
      }
      if (AnomalyMode.isEnabled()) {
        AnomalyMode.checkBackward(function.name(), function.callSite(), results);
      }
      return results;
    }
  }

  private void add(Function function, int slot, Tensor gradient) {
    @Nullable Tensor[] slots = gradients.get(function);
    if (slots == null) {
      slots = new Tensor[function.outputCount()];
      gradients.put(function, slots);
      ready.add(function);
    }
    Tensor before = slots[slot];
    if (before == null) {
      slots[slot] = gradient;
    } else {
      slots[slot] = before.add(gradient);
      before.close();
      gradient.close();
    }
  }
}
