package io.gradus.benchmarks.libraries;

/**
 * A dense NHWC tensor, or a convolution's weight [out, kh, kw, in], as libraries take it: sizes in
 * the order NCHW, with the steps in memory of each.
 *
 * @param n images, or outputs of a weight
 * @param c channels, or inputs of a weight
 * @param h rows
 * @param w columns
 */
public record ImageLayout(int n, int c, int h, int w) {
  private static final int BATCH = 128;

  /**
   * Rows of c channels, as pixels: of 128 square images where that is possible, as PyTorch's worker
   * has them.
   */
  public static ImageLayout ofRows(int rows, int c) {
    int side = (int) Math.sqrt(rows / (double) BATCH);
    return BATCH * side * side == rows
        ? new ImageLayout(BATCH, c, side, side)
        : new ImageLayout(1, c, rows, 1);
  }

  /** Sizes: N, C, H, W. */
  public long[] dims() {
    return new long[] {n, c, h, w};
  }

  /** How far apart in memory neighbours in N, C, H and W are. */
  public long[] strides() {
    return new long[] {(long) h * w * c, 1, (long) w * c, c};
  }

  /** How many elements there are. */
  public long elements() {
    return (long) n * c * h * w;
  }
}
