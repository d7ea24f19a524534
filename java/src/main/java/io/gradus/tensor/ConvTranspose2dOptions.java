package io.gradus.tensor;

import io.gradus.core.Checks;

/**
 * How a transposed convolution spreads an image.
 *
 * <pre>{@code
 * ConvTranspose2dOptions doubling = ConvTranspose2dOptions.of(2, 1, 1);   // with a 3x3 kernel
 * }</pre>
 *
 * @param convolution stride, padding, dilation and groups of the convolution that it transposes:
 *     the stride spreads the pixels and the padding is cut from the output
 * @param outputPadH rows more below: a stride above 1 gives several images the same small one, and
 *     this chooses among them
 * @param outputPadW columns more to the right
 */
public record ConvTranspose2dOptions(Conv2dOptions convolution, int outputPadH, int outputPadW) {
  /** Stride 1, no padding, no dilation, one group. */
  public static final ConvTranspose2dOptions DEFAULT = of(1, 0, 0);

  /**
   * Checks the ranges.
   *
   * @throws io.gradus.core.ArgumentException when an output padding is negative or not below the
   *     stride
   */
  public ConvTranspose2dOptions {
    Checks.argument(
        0 <= outputPadH
            && outputPadH < convolution.strideH()
            && 0 <= outputPadW
            && outputPadW < convolution.strideW(),
        "[convTranspose2d] output padding (%d, %d) must be at least 0 and below the stride (%d, %d)",
        outputPadH,
        outputPadW,
        convolution.strideH(),
        convolution.strideW());
  }

  /** Square stride, padding and output padding. */
  public static ConvTranspose2dOptions of(int stride, int padding, int outputPadding) {
    return new ConvTranspose2dOptions(
        Conv2dOptions.of(stride, padding), outputPadding, outputPadding);
  }
}
