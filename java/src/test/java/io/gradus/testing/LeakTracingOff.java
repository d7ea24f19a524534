package io.gradus.testing;

import io.gradus.backend.LeakDetector;

/**
 * Switches the leak detector off until it is closed: where a test makes allocations by the hundred
 * thousand, all of them in scopes, a stack trace for each would take most of the time.
 */
public final class LeakTracingOff implements AutoCloseable {
  private final LeakDetector.Level before = LeakDetector.level();

  /** From here on. */
  public LeakTracingOff() {
    LeakDetector.setLevel(LeakDetector.Level.OFF);
  }

  @Override
  public void close() {
    LeakDetector.setLevel(before);
  }
}
