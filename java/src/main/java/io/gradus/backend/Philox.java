package io.gradus.backend;

/**
 * Philox4x32-10, a counter-based generator: four 32-bit words are a pure function of a 64-bit key
 * and a 128-bit counter. Gradus keys it by (seed; element block, stream), never by thread layout,
 * so every backend draws the same bits.
 *
 * <p>Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
public final class Philox {
  private static final long M0 = 0xD2511F53L;
  private static final long M1 = 0xCD9E8D57L;
  private static final int W0 = 0x9E3779B9;
  private static final int W1 = 0xBB67AE85;
  private static final int ROUNDS = 10;
  private static final double TWO_POW_MINUS_32 = 0x1p-32;

  private Philox() {}

  /**
   * The four words of one block.
   *
   * @param seed the key
   * @param stream upper half of the counter: which random operation
   * @param block lower half of the counter: which group of elements
   * @param out receives the words at {@code out[at]} to {@code out[at + 3]}
   */
  public static void block(long seed, long stream, long block, int[] out, int at) {
    int c0 = (int) block;
    int c1 = (int) (block >>> 32);
    int c2 = (int) stream;
    int c3 = (int) (stream >>> 32);
    int k0 = (int) seed;
    int k1 = (int) (seed >>> 32);
    for (int round = 0; round < ROUNDS; round++) {
      long p0 = M0 * (c0 & 0xFFFFFFFFL);
      long p1 = M1 * (c2 & 0xFFFFFFFFL);
      c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      c1 = (int) p1;
      c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c3 = (int) p0;
      k0 += W0;
      k1 += W1;
    }
    out[at] = c0;
    out[at + 1] = c1;
    out[at + 2] = c2;
    out[at + 3] = c3;
  }

  /** A word as a float on [0, 1) with 24 random bits. */
  public static float uniformFloat(int word) {
    return (word >>> 8) * 0x1p-24f;
  }

  /** Two words as a double on [0, 1) with 53 random bits. */
  public static double uniformDouble(int high, int low) {
    return (((long) (high >>> 5) << 26) | (low >>> 6)) * 0x1p-53;
  }

  /** The radius of Box and Muller's transform: sqrt(-2 log u) with u on (0, 1). */
  public static double normalRadius(int word) {
    return Math.sqrt(-2 * Math.log(((word & 0xFFFFFFFFL) + 0.5) * TWO_POW_MINUS_32));
  }

  /** The angle of Box and Muller's transform, on (0, 2 pi). */
  public static double normalAngle(int word) {
    return 2 * Math.PI * (((word & 0xFFFFFFFFL) + 0.5) * TWO_POW_MINUS_32);
  }

  /** A word as an integer on [0, bound), by multiplication: the bias is below bound / 2^32. */
  public static long below(int word, long bound) {
    return ((word & 0xFFFFFFFFL) * bound) >>> 32;
  }
}
