package io.gradus.core;

/**
 * A device met a fault that it does not recover from, such as an illegal address in a kernel: its
 * memory is gone, and every later call on it throws this too. A checkpoint and a new process help.
 */
public final class DeviceLostException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message. */
  public DeviceLostException(String message) {
    super(message);
  }
}
