package io.gradus.benchmarks.recipes;

import io.gradus.benchmarks.engines.PeerException;
import java.io.IOException;

/** An engine that trains the recipe. */
interface Racer extends AutoCloseable {
  /** What it is called in the report. */
  String name();

  /**
   * A run from fresh weights to the test.
   *
   * @throws PeerException when the engine cannot
   */
  Outcome train(int seed) throws PeerException, IOException;

  @Override
  void close();

  /**
   * What a run gave.
   *
   * @param seconds of its training steps, with the choice of batches, without preparation and tests
   * @param accuracy share of right answers on the test images, from 0 to 1
   */
  record Outcome(double seconds, double accuracy) {}
}
