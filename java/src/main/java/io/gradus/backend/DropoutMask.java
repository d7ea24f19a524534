package io.gradus.backend;

import io.gradus.core.DType;

/**
 * Which elements dropout keeps: the same on every backend. Element i has 16 random bits, value
 * {@code i % 8} of Philox block {@code i / 8}: the lower half of a word before its upper half. The
 * upper counter is {@code rng[1] + stream}, the key {@code rng[0]}. An element is kept when its
 * value is at least {@link #threshold}: sixteen bits resolve p to 1/65536 and make one block serve
 * eight elements.
 */
public final class DropoutMask {
  private static final int VALUES = 8;
  private static final int HALF = 1 << 16;

  private DropoutMask() {}

  /**
   * Values below it are dropped: p 2^16, rounded.
   *
   * @param p probability of dropping, 0 to 1
   * @return 0 to 65536
   */
  public static int threshold(double p) {
    return (int) Math.rint(p * HALF);
  }

  /**
   * What kept elements are multiplied with: 1 / (1 - p), 0 where nothing is kept.
   *
   * @param p probability of dropping, 0 to 1
   * @return the factor
   */
  public static double scale(double p) {
    return p == 1 ? 0 : 1 / (1 - p);
  }

  /**
   * Whether an element is kept.
   *
   * @param seed the key, {@code rng[0]}
   * @param counter the upper counter, {@code rng[1] + stream}
   * @param index number of the element
   * @param threshold from {@link #threshold}
   * @return true when it stays
   */
  public static boolean keeps(long seed, long counter, long index, int threshold) {
    int[] words = new int[4];
    Philox.block(seed, counter, index / VALUES, words, 0);
    int value = (int) (index % VALUES);
    return ((words[value / 2] >>> (16 * (value % 2))) & 0xFFFF) >= threshold;
  }

  /** The mask of {@code n} elements as BOOL, composed of primitives. */
  static Buffer compose(
      Primitives p, Scratch scratch, Buffer rng, long stream, long n, int threshold) {
    long words = (n + VALUES - 1) / VALUES * (VALUES / 2);
    long[] shape = {words};
    long[] step = {1};
    long[] everyOther = {2};
    long[] repeated = {0};
    Buffer word = scratch.take(DType.INT64, words);
    p.random(RandomKind.INTEGER, word, rng, stream, 0, 0x1p32);
    Buffer radix = scratch.scalar(DType.INT64, HALF);
    Buffer high = scratch.take(DType.INT64, words);
    p.binary(BinaryOp.DIV, word, step, radix, repeated, high, shape);
    Buffer shifted = scratch.take(DType.INT64, words);
    p.binary(BinaryOp.MUL, high, step, radix, repeated, shifted, shape);
    Buffer low = scratch.take(DType.INT64, words);
    p.binary(BinaryOp.SUB, word, step, shifted, step, low, shape);
    Buffer values = scratch.take(DType.INT64, 2 * words);
    if (words > 0) {
      p.copy(low, step, values, everyOther, shape);
      p.copy(high, step, values.slice(1, 2 * words - 1), everyOther, shape);
    }
    Buffer kept = scratch.take(DType.BOOL, n);
    Buffer bound = scratch.scalar(DType.INT64, threshold);
    p.compare(CompareOp.GE, values.slice(0, n), step, bound, repeated, kept, new long[] {n});
    return kept;
  }
}
