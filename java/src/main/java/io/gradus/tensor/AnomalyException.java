package io.gradus.tensor;

import io.gradus.core.GradusException;

/** The first operation that made a NaN, found by {@link AnomalyMode}. */
public final class AnomalyException extends GradusException {
  private static final long serialVersionUID = 1L;

  /** Makes the error with a one-line message that names the operation and its caller. */
  public AnomalyException(String message) {
    super(message);
  }
}
