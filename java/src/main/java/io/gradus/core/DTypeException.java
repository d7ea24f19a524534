package io.gradus.core;

/** An element type that an operation does not take. */
public final class DTypeException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message. */
  public DTypeException(String message) {
    super(message);
  }
}
