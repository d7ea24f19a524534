package io.gradus.metrics;

import io.gradus.core.Checks;

/** The check that batches share. */
final class Rows {
  private Rows() {}

  static void check(int row, int size) {
    Checks.argument(
        row >= 0 && row < size, "[select] row %d is out of range for %d samples", row, size);
  }
}
