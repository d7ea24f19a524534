package io.gradus.core;

import java.io.IOException;

/** A file that is corrupt, truncated, too large or not of the format it should be. */
public final class FormatException extends IOException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message that names the file, the cause and the remedy. */
  public FormatException(String message) {
    super(message);
  }

  /** Makes the error with a one-line message and the error that led to it. */
  public FormatException(String message, Throwable cause) {
    super(message, cause);
  }
}
