package io.gradus.benchmarks.engines;

import java.util.List;

/** An engine that takes part in a contest. */
interface Entrant extends AutoCloseable {
  /** One line: the engine, its version and setting. */
  String about();

  /**
   * Does what is measured, once.
   *
   * @return the measurement, in the contest's unit
   */
  double lap() throws PeerException;

  /** The most memory that its process has had; 0 where nobody asks. */
  default long peakBytes() throws PeerException {
    return 0;
  }

  /** Its first losses; none where there are none to compare. */
  default List<Double> losses() {
    return List.of();
  }

  @Override
  void close();
}
