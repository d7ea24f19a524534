package io.gradus.tensor;

import org.jspecify.annotations.Nullable;

/**
 * Finds the first operation whose result or gradient holds a NaN and names it with the line that
 * called it. Slow: every result is read.
 *
 * <pre>{@code
 * try (GradMode.Guard a = AnomalyMode.enable()) {
 *   loss(model.forward(x), y).backward();
 * }
 * }</pre>
 */
public final class AnomalyMode {
  private static final ThreadLocal<boolean[]> ENABLED =
      ThreadLocal.withInitial(() -> new boolean[1]);

  private static final GradMode.Guard RESTORE_ON = () -> ENABLED.get()[0] = true;
  private static final GradMode.Guard RESTORE_OFF = () -> ENABLED.get()[0] = false;

  private AnomalyMode() {}

  /** Whether this thread checks. */
  public static boolean isEnabled() {
    return ENABLED.get()[0];
  }

  /** Checks in this thread until the guard is closed. */
  public static GradMode.Guard enable() {
    return set(true);
  }

  /** Does not check in this thread until the guard is closed. */
  static GradMode.Guard suspend() {
    return set(false);
  }

  private static GradMode.Guard set(boolean enabled) {
    boolean[] flag = ENABLED.get();
    GradMode.Guard restore = flag[0] ? RESTORE_ON : RESTORE_OFF;
    flag[0] = enabled;
    return restore;
  }

  /** The innermost caller outside the tensor package. */
  static String callSite() {
    String inside = AnomalyMode.class.getPackageName() + ".";
    return StackWalker.getInstance()
        .walk(
            frames ->
                frames
                    .filter(f -> !isEngine(f.getClassName(), inside))
                    .findFirst()
                    .map(f -> f.toStackTraceElement().toString())
                    .orElse("an unknown place"));
  }

  private static boolean isEngine(String className, String inside) {
    return className.startsWith(inside) && !className.endsWith("Test");
  }

  static void checkForward(String op, String site, Tensor[] results) {
    for (Tensor result : results) {
      if (hasNaN(result)) {
        throw new AnomalyException(
            "[" + op + "] made a NaN in " + result.shape() + "; called at " + site);
      }
    }
  }

  static void checkBackward(String op, @Nullable String site, @Nullable Tensor[] gradients) {
    for (int i = 0; i < gradients.length; i++) {
      Tensor gradient = gradients[i];
      if (gradient != null && hasNaN(gradient)) {
        throw new AnomalyException(
            "["
                + op
                + "] made a NaN in the gradient of its input "
                + i
                + " "
                + gradient.shape()
                + "; called at "
                + (site == null ? "a place that was not recorded" : site));
      }
    }
  }

  private static boolean hasNaN(Tensor tensor) {
    if (!tensor.dtype().isFloating()) {
      return false;
    }
    // Reading converts, which is an operation too: it must not be checked in turn.
    try (GradMode.Guard off = suspend()) {
      for (double v : tensor.toDoubles()) {
        if (Double.isNaN(v)) {
          return true;
        }
      }
      return false;
    }
  }
}
