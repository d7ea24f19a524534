package io.gradus.backend;

/**
 * The sizes of a two-dimensional pooling of images [n, h, w, c] to [n, oh, ow, c], and which pixels
 * each window holds. Windows are clipped to the image, and none is empty.
 *
 * @param n images
 * @param h input rows
 * @param w input columns
 * @param c channels
 * @param oh output rows
 * @param ow output columns
 * @param kh rows of the largest window
 * @param kw columns of the largest window
 * @param strideH row stride; 0 for adaptive windows
 * @param strideW column stride; 0 for adaptive windows
 * @param padH rows of padding above and below
 * @param padW columns of padding left and right
 */
public record PoolShape(
    int n,
    int h,
    int w,
    int c,
    int oh,
    int ow,
    int kh,
    int kw,
    int strideH,
    int strideW,
    int padH,
    int padW) {

  /** Windows of one size at regular distances. */
  public static PoolShape regular(
      int n, int h, int w, int c, int kh, int kw, int strideH, int strideW, int padH, int padW) {
    int oh = (h + 2 * padH - kh) / strideH + 1;
    int ow = (w + 2 * padW - kw) / strideW + 1;
    return new PoolShape(n, h, w, c, oh, ow, kh, kw, strideH, strideW, padH, padW);
  }

  /**
   * As many windows as asked for, from floor(i h / oh) to ceil((i + 1) h / oh), which may overlap.
   */
  public static PoolShape adaptive(int n, int h, int w, int c, int oh, int ow) {
    return new PoolShape(n, h, w, c, oh, ow, largest(h, oh), largest(w, ow), 0, 0, 0, 0);
  }

  private static int largest(int size, int windows) {
    int most = 0;
    for (int i = 0; i < windows; i++) {
      most = Math.max(most, binEnd(i, size, windows) - binStart(i, size, windows));
    }
    return most;
  }

  private static int binStart(int i, int size, int windows) {
    return (int) ((long) i * size / windows);
  }

  private static int binEnd(int i, int size, int windows) {
    return (int) (((long) (i + 1) * size + windows - 1) / windows);
  }

  /** First input row of the windows of an output row. */
  public int rowStart(int i) {
    return strideH == 0 ? binStart(i, h, oh) : Math.max(0, i * strideH - padH);
  }

  /** Input row after the last of the windows of an output row. */
  public int rowEnd(int i) {
    return strideH == 0 ? binEnd(i, h, oh) : Math.min(h, i * strideH - padH + kh);
  }

  /** First input column of the windows of an output column. */
  public int colStart(int j) {
    return strideW == 0 ? binStart(j, w, ow) : Math.max(0, j * strideW - padW);
  }

  /** Input column after the last of the windows of an output column. */
  public int colEnd(int j) {
    return strideW == 0 ? binEnd(j, w, ow) : Math.min(w, j * strideW - padW + kw);
  }

  /**
   * What a window's sum is divided by for its average.
   *
   * @param countPadding whether padding counts as pixels of value 0
   */
  public int divisor(int i, int j, boolean countPadding) {
    return countPadding && strideH != 0
        ? kh * kw
        : (rowEnd(i) - rowStart(i)) * (colEnd(j) - colStart(j));
  }
}
