package io.gradus.core;

/**
 * A value out of its range, such as a dropout probability of 1.5 or a label beyond the last class.
 */
public final class ArgumentException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message. */
  public ArgumentException(String message) {
    super(message);
  }
}
