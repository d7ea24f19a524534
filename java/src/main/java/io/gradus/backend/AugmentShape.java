package io.gradus.backend;

/**
 * The sizes and choices of the augmentation of images; 0 or false switches a choice off. All sizes
 * are below 2^30.
 *
 * @param batch number of samples
 * @param height rows of the images
 * @param width columns of the images
 * @param channels channels of the images
 * @param outHeight rows of the result, at most height + 2 padding
 * @param outWidth columns of the result, at most width + 2 padding
 * @param padding pixels around the image from which the crop is taken
 * @param reflect what lies outside the image: false black, true the image, reflected without its
 *     edge
 * @param crop whether the crop is at a random position, not in the middle
 * @param flip whether half of the images are mirrored left to right
 * @param translate largest number of pixels by which the image is moved along either axis
 * @param cutout side of a square whose values become 0
 */
public record AugmentShape(
    long batch,
    long height,
    long width,
    long channels,
    long outHeight,
    long outWidth,
    long padding,
    boolean reflect,
    boolean crop,
    boolean flip,
    long translate,
    long cutout) {

  /** Rows by which the padded image is larger than the result. */
  public long spareHeight() {
    return height + 2 * padding - outHeight;
  }

  /** Columns by which the padded image is larger than the result. */
  public long spareWidth() {
    return width + 2 * padding - outWidth;
  }

  /** Whether anything is drawn. */
  public boolean isRandom() {
    return crop || flip || translate > 0 || cutout > 0;
  }
}
