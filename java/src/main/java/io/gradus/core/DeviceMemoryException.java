package io.gradus.core;

/** A device has no memory left for an allocation; the message says what holds it. */
public final class DeviceMemoryException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message. */
  public DeviceMemoryException(String message) {
    super(message);
  }
}
