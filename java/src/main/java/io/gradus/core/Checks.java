package io.gradus.core;

/** Argument checks that fail with a typed one-line error. */
public final class Checks {
  private Checks() {}

  /**
   * Requires that shapes fit.
   *
   * @throws ShapeException with the formatted message when {@code ok} is false
   */
  public static void shape(boolean ok, String format, Object... args) {
    if (!ok) {
      throw new ShapeException(String.format(format, args));
    }
  }

  /**
   * Requires that a value is in its range.
   *
   * @throws ArgumentException with the formatted message when {@code ok} is false
   */
  public static void argument(boolean ok, String format, Object... args) {
    if (!ok) {
      throw new ArgumentException(String.format(format, args));
    }
  }

  /**
   * Requires an element type.
   *
   * @throws DTypeException with the formatted message when {@code ok} is false
   */
  public static void dtype(boolean ok, String format, Object... args) {
    if (!ok) {
      throw new DTypeException(String.format(format, args));
    }
  }

  /**
   * Requires that an object is in a state that allows the call.
   *
   * @throws IllegalStateException with the formatted message when {@code ok} is false
   */
  public static void state(boolean ok, String format, Object... args) {
    if (!ok) {
      throw new IllegalStateException(String.format(format, args));
    }
  }
}
