package io.gradus.benchmarks.steps;

/** Says in one line why an engine cannot be measured. */
final class PeerException extends Exception {
  private static final long serialVersionUID = 1;

  PeerException(String message) {
    super(message);
  }
}
