package io.gradus.backend;

/**
 * The sizes of a two-dimensional convolution: input {@code [n, h, w, c]}, weights {@code [o, kh,
 * kw, c / groups]}, output {@code [n, oh, ow, o]}.
 *
 * @param n images
 * @param h input rows
 * @param w input columns
 * @param c input channels
 * @param o output channels
 * @param kh kernel rows
 * @param kw kernel columns
 * @param strideH row stride
 * @param strideW column stride
 * @param padH zero rows above and below
 * @param padW zero columns left and right
 * @param dilationH distance of kernel rows
 * @param dilationW distance of kernel columns
 * @param groups groups of channels that are convolved apart
 */
public record ConvShape(
    int n,
    int h,
    int w,
    int c,
    int o,
    int kh,
    int kw,
    int strideH,
    int strideW,
    int padH,
    int padW,
    int dilationH,
    int dilationW,
    int groups) {

  /** Returns the number of output rows. */
  public int oh() {
    return extent(h, kh, strideH, padH, dilationH);
  }

  /** Returns the number of output columns. */
  public int ow() {
    return extent(w, kw, strideW, padW, dilationW);
  }

  private static int extent(int size, int kernel, int stride, int pad, int dilation) {
    int room = size + 2 * pad - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  }
}
