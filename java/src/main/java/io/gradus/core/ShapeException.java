package io.gradus.core;

/** Shapes that do not fit an operation, or a dimension or axis out of range. */
public final class ShapeException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message. */
  public ShapeException(String message) {
    super(message);
  }
}
