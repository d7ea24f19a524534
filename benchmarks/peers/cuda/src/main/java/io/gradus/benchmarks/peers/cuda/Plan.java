package io.gradus.benchmarks.peers.cuda;

import java.util.List;

/** How a library computes a kernel. */
interface Plan {
  /**
   * Takes the operands of one more set.
   *
   * @param operands gives them
   */
  void addSet(Operands operands);

  /**
   * The ways there are, once all sets are there; some may fail when they are called.
   *
   * @param operands gives room for what a way needs besides
   */
  List<Way> ways(Operands operands);

  /** One of a library's algorithms. */
  interface Way {
    /** Begins a call with the operands of a set. */
    void call(int set);
  }
}
