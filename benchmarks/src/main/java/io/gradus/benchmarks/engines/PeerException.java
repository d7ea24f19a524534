package io.gradus.benchmarks.engines;

/** Says in one line why an engine cannot be measured. */
public final class PeerException extends Exception {
  private static final long serialVersionUID = 1;

  /** With a line that says why. */
  public PeerException(String message) {
    super(message);
  }
}
