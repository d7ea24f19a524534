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
  private static final ThreadLocal<@Nullable Scope[]> CURRENT =
      ThreadLocal.withInitial(() -> new Scope[1]);

  private static final int FEW = 4;

  private final Thread thread = Thread.currentThread();
  private final @Nullable Scope parent;
  // An array of its own: every operation opens a scope, most of them for one or two tensors.
  private @Nullable Tensor[] members = new Tensor[FEW];
  private int size;
  private boolean closed;

  private Scope(@Nullable Scope parent) {
    this.parent = parent;
  }

  /** Opens a scope in this thread. */
  public static Scope open() {
    @Nullable Scope[] current = CURRENT.get();
    Scope scope = new Scope(current[0]);
    current[0] = scope;
    return scope;
  }

  static @Nullable Scope current() {
    return CURRENT.get()[0];
  }

  void add(Tensor tensor) {
    if (size == members.length) {
      members = Arrays.copyOf(members, 2 * size);
    }
    members[size++] = tensor;
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
      if (parent != null) {
        parent.add(tensor);
      }
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
    return thread;
  }

  private void checkOpen() {
    Checks.state(!closed, "[scope] use after close: this scope was already closed");
    Checks.state(
        Thread.currentThread() == thread,
        "[scope] opened by thread %s, used by %s: a scope belongs to the thread that opened it",
        thread.getName(),
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
    @Nullable Scope[] current = CURRENT.get();
    Checks.state(
        current[0] == this, "[scope] an inner scope is still open: close scopes innermost first");
    closed = true;
    current[0] = parent;
    for (int i = 0; i < size; i++) {
      Tensor tensor = members[i];
      if (tensor != null && tensor.owner() == this) {
        tensor.releaseFromScope();
      }
      members[i] = null;
    }
    size = 0;
  }
}
