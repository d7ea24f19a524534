package io.gradus.core;

/**
 * Base of the engine's own unchecked errors. The message is one line that starts with the operation
 * in brackets, names the offending values and says how to mend it, such as {@code [conv2d] x has 3
 * channels but weight expects 4 (x [8, 32, 32, 3], weight [16, 3, 3, 4])}.
 */
public class GradusException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Makes an error with a one-line message. */
  public GradusException(String message) {
    super(message);
  }

  /** Makes an error with a one-line message and the error that led to it. */
  public GradusException(String message, Throwable cause) {
    super(message, cause);
  }
}
