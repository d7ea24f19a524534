package io.gradus.core;

/**
 * A device that cannot be used (the message says why and what would help), or tensors on different
 * devices.
 */
public final class DeviceException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message. */
  public DeviceException(String message) {
    super(message);
  }
}
