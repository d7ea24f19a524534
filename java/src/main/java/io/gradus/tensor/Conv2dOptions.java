package io.gradus.tensor;

import io.gradus.core.Checks;

/**
 * How a convolution's kernel moves over the image.
 *
 * <pre>{@code
 * Conv2dOptions halving = Conv2dOptions.of(2, 1);               // stride 2, padding 1
 * Conv2dOptions depthwise = Conv2dOptions.of(1, 1).withGroups(32);
 * }</pre>
 *
 * @param strideH rows from one patch to the next
 * @param strideW columns from one patch to the next
 * @param padH rows of zeros above and below the image
 * @param padW columns of zeros left and right of the image
 * @param dilationH image rows from one kernel row to the next
 * @param dilationW image columns from one kernel column to the next
 * @param groups groups of channels that are convolved apart
 */
public record Conv2dOptions(
    int strideH, int strideW, int padH, int padW, int dilationH, int dilationW, int groups) {
  /** Stride 1, no padding, no dilation, one group. */
  public static final Conv2dOptions DEFAULT = of(1, 0);

  /**
   * Checks the ranges.
   *
   * @throws io.gradus.core.ArgumentException when a stride, dilation or groups is below 1 or a
   *     padding below 0
   */
  public Conv2dOptions {
    Checks.argument(
        strideH > 0 && strideW > 0,
        "[conv2d] stride (%d, %d) must be at least 1 in both directions",
        strideH,
        strideW);
    Checks.argument(
        padH >= 0 && padW >= 0,
        "[conv2d] padding (%d, %d) cannot be negative: slice the image to crop it",
        padH,
        padW);
    Checks.argument(
        dilationH > 0 && dilationW > 0,
        "[conv2d] dilation (%d, %d) must be at least 1 in both directions (1 is none)",
        dilationH,
        dilationW);
    Checks.argument(groups > 0, "[conv2d] groups %d must be at least 1 (1 is none)", groups);
  }

  /** Square stride and padding. */
  public static Conv2dOptions of(int stride, int padding) {
    return new Conv2dOptions(stride, stride, padding, padding, 1, 1, 1);
  }

  /** This with another stride. */
  public Conv2dOptions withStride(int rows, int columns) {
    return new Conv2dOptions(rows, columns, padH, padW, dilationH, dilationW, groups);
  }

  /** This with another padding. */
  public Conv2dOptions withPadding(int rows, int columns) {
    return new Conv2dOptions(strideH, strideW, rows, columns, dilationH, dilationW, groups);
  }

  /** This with another dilation. */
  public Conv2dOptions withDilation(int rows, int columns) {
    return new Conv2dOptions(strideH, strideW, padH, padW, rows, columns, groups);
  }

  /** This with another number of groups. */
  public Conv2dOptions withGroups(int count) {
    return new Conv2dOptions(strideH, strideW, padH, padW, dilationH, dilationW, count);
  }
}
