package io.gradus.tensor;

import io.gradus.core.Checks;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Frees at its close every tensor that this thread made inside it, except what is kept. Scopes
 * nest; a kept tensor belongs to the scope around. Graphs hold what they saved for themselves, so
 * closing a scope never breaks a later backward.
 *
 * <pre>{@code
 * try (Scope s = Scope.open()) {
 *   Tensor hidden = x.matmul(w).relu();
 *   return s.keep(hidden.sum());
 * }
 * }</pre>
 */
public final class Scope implements AutoCloseable {
  private static final ThreadLocal<Stack> STACK = ThreadLocal.withInitial(Stack::new);

  private static final int CLOSED = -1;

  private final Stack stack;
  private final @Nullable Scope parent;

  /** Where its tensors begin in the stack, or {@link #CLOSED}. */
  private int from;

  /**
   * The tensors of a thread's open scopes, those of inner scopes behind those of outer ones. Every
   * operation opens a scope, most of them for one or two tensors: so they share an array.
   */
  private static final class Stack {
    /** Up to here the array is kept when it is empty. */
    static final int KEPT = 4096;

    final Thread thread = Thread.currentThread();
    @Nullable Scope current;
    @Nullable Tensor[] members = new Tensor[64];
    int size;

    void add(Tensor tensor) {
      if (size == members.length) {
        members = Arrays.copyOf(members, 2 * size);
      }
      members[size++] = tensor;
    }

    /** Forgets what lies behind a place. */
    void cut(int length) {
      if (length == 0 && members.length > KEPT) {
        members = new Tensor[KEPT];
      } else {
        Arrays.fill(members, length, size, null);
      }
      size = length;
    }
  }

  private Scope(Stack stack) {
    this.stack = stack;
    this.parent = stack.current;
    this.from = stack.size;
  }

  /** Opens a scope in this thread. */
  public static Scope open() {
    Stack stack = STACK.get();
    Scope scope = new Scope(stack);
    stack.current = scope;
    return scope;
  }

  static @Nullable Scope current() {
    return STACK.get().current;
  }

  /** Gives a new tensor to the innermost scope of this thread, if there is one. */
  static @Nullable Scope own(Tensor tensor) {
    Stack stack = STACK.get();
    if (stack.current != null) {
      stack.add(tensor);
    }
    return stack.current;
  }

  /**
   * Lets a tensor outlive this scope: it moves to the scope around, if there is one.
   *
   * @return the tensor
   */
  public Tensor keep(Tensor tensor) {
    checkOpen();
    if (tensor.owner() == this) {
      tensor.setOwner(parent);
    }
    return tensor;
  }

  /**
   * Lets a tensor outlive every scope, such as a parameter or an optimizer's state made during a
   * step.
   *
   * @return the tensor
   */
  public static Tensor escape(Tensor tensor) {
    tensor.setOwner(null);
    return tensor;
  }

  Thread thread() {
    return stack.thread;
  }

  private void checkOpen() {
    Checks.state(from != CLOSED, "[scope] use after close: this scope was already closed");
    Checks.state(
        Thread.currentThread() == stack.thread,
        "[scope] opened by thread %s, used by %s: a scope belongs to the thread that opened it",
        stack.thread.getName(),
        Thread.currentThread().getName());
  }

  /**
   * Frees the tensors that still belong to this scope.
   *
   * @throws IllegalStateException when closed twice, by another thread, or before an inner scope
   */
  @Override
  public void close() {
    checkOpen();
    Checks.state(
        stack.current == this,
        "[scope] an inner scope is still open: close scopes innermost first");
    int kept = from;
    from = CLOSED;
    stack.current = parent;
    @Nullable Tensor[] members = stack.members;
    for (int i = kept; i < stack.size; i++) {
      Tensor tensor = members[i];
      Scope owner = tensor == null ? null : tensor.owner();
      if (tensor == null || owner == null) {
        continue;
      }
      if (owner == this) {
        tensor.releaseFromScope();
      } else {
        // Kept: it belongs to a scope around.
        members[kept++] = tensor;
      }
    }
    stack.cut(kept);
  }
}
