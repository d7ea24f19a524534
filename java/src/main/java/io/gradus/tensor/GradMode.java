package io.gradus.tensor;

/**
 * Whether operations of this thread record a graph for gradients. On by default.
 *
 * <pre>{@code
 * try (GradMode.Guard g = GradMode.noGrad()) {
 *   weights.subInPlace(weights.grad().mul(0.1));
 * }
 * }</pre>
 */
public final class GradMode {
  private static final ThreadLocal<boolean[]> ENABLED =
      ThreadLocal.withInitial(() -> new boolean[] {true});

  // Every operation sets the mode: guards that hold nothing need not be made anew.
  private static final Guard RESTORE_ON = () -> ENABLED.get()[0] = true;
  private static final Guard RESTORE_OFF = () -> ENABLED.get()[0] = false;

  private GradMode() {}

  /** Whether this thread records. */
  public static boolean isEnabled() {
    return ENABLED.get()[0];
  }

  /** Stops recording in this thread until the guard is closed. */
  public static Guard noGrad() {
    return set(false);
  }

  /** Records in this thread until the guard is closed, also inside a {@link #noGrad()}. */
  public static Guard enableGrad() {
    return set(true);
  }

  /** Sets recording in this thread until the guard is closed. */
  public static Guard set(boolean enabled) {
    boolean[] flag = ENABLED.get();
    Guard restore = flag[0] ? RESTORE_ON : RESTORE_OFF;
    flag[0] = enabled;
    return restore;
  }

  /** Restores the mode at close. */
  @FunctionalInterface
  public interface Guard extends AutoCloseable {
    @Override
    void close();
  }
}
