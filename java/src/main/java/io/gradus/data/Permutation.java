package io.gradus.data;

import io.gradus.backend.Philox;

/** Random orders that are a pure function of their arguments. */
final class Permutation {
  private Permutation() {}

  /** The numbers 0 to {@code n - 1} in the order that a seed and a stream fix. */
  static int[] of(int n, long seed, long stream) {
    int[] order = new int[n];
    for (int i = 0; i < n; i++) {
      order[i] = i;
    }
    int[] words = new int[4];
    for (int i = n - 1; i > 0; i--) {
      if (i % 4 == 3 || i == n - 1) {
        Philox.block(seed, stream, i / 4, words, 0);
      }
      int j = (int) Philox.below(words[i % 4], i + 1L);
      int held = order[i];
      order[i] = order[j];
      order[j] = held;
    }
    return order;
  }
}
