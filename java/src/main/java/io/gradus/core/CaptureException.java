package io.gradus.core;

/**
 * An operation that a captured step cannot contain: one that waits for values, or brings new ones
 * from the host. A captured step is recorded before it runs and repeated without Java.
 */
public final class CaptureException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message. */
  public CaptureException(String message) {
    super(message);
  }
}
