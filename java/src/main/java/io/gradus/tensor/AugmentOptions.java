package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.DType;

/**
 * What {@link Image#augment} does to images; 0 or false switches a choice off.
 *
 * <pre>{@code
 * AugmentOptions cifar = AugmentOptions.DEFAULT.withCrop(0, 0, 4).withFlip(true).withCutout(8);
 * }</pre>
 *
 * @param outHeight rows of the result; 0 for those of the images
 * @param outWidth columns of the result; 0 for those of the images
 * @param padding pixels around the image from which the crop is taken
 * @param reflect what lies outside the image: false black, true the image, reflected without its
 *     edge
 * @param crop whether the crop is at a random position, not in the middle
 * @param flip whether an image is mirrored left to right with probability 1/2
 * @param translate largest number of pixels by which an image is moved along either axis
 * @param cutout side in pixels of a square at a random place whose values become 0
 * @param dtype type of the result: FLOAT32, BFLOAT16 or FLOAT16
 */
public record AugmentOptions(
    long outHeight,
    long outWidth,
    int padding,
    boolean reflect,
    boolean crop,
    boolean flip,
    int translate,
    int cutout,
    DType dtype) {
  /** Nothing but the conversion to FLOAT32. */
  public static final AugmentOptions DEFAULT =
      new AugmentOptions(0, 0, 0, false, false, false, 0, 0, DType.FLOAT32);

  /**
   * Checks the ranges.
   *
   * @throws io.gradus.core.ArgumentException when a number is negative
   * @throws io.gradus.core.DTypeException when the type is another one
   */
  public AugmentOptions {
    Checks.argument(
        outHeight >= 0 && outWidth >= 0 && padding >= 0 && translate >= 0 && cutout >= 0,
        "[augment] extents (%d, %d), padding %d, translate %d and cutout %d cannot be negative",
        outHeight,
        outWidth,
        padding,
        translate,
        cutout);
    Checks.dtype(
        dtype == DType.FLOAT32 || dtype.isHalf(),
        "[augment] the result cannot be %s: choose FLOAT32, BFLOAT16 or FLOAT16",
        dtype);
  }

  /**
   * This with a crop at a random position.
   *
   * @param rows rows of the result; 0 for those of the images
   * @param columns columns of the result; 0 for those of the images
   * @param around pixels around the image from which the crop is taken
   * @return the options
   */
  public AugmentOptions withCrop(long rows, long columns, int around) {
    return new AugmentOptions(rows, columns, around, reflect, true, flip, translate, cutout, dtype);
  }

  /** This with the image reflected, or black, outside of it. */
  public AugmentOptions withReflect(boolean value) {
    return new AugmentOptions(
        outHeight, outWidth, padding, value, crop, flip, translate, cutout, dtype);
  }

  /** This with or without mirrored images. */
  public AugmentOptions withFlip(boolean value) {
    return new AugmentOptions(
        outHeight, outWidth, padding, reflect, crop, value, translate, cutout, dtype);
  }

  /** This with images moved by up to so many pixels. */
  public AugmentOptions withTranslate(int pixels) {
    return new AugmentOptions(
        outHeight, outWidth, padding, reflect, crop, flip, pixels, cutout, dtype);
  }

  /** This with a square cut out. */
  public AugmentOptions withCutout(int side) {
    return new AugmentOptions(
        outHeight, outWidth, padding, reflect, crop, flip, translate, side, dtype);
  }

  /** This with another type of the result. */
  public AugmentOptions withDType(DType type) {
    return new AugmentOptions(
        outHeight, outWidth, padding, reflect, crop, flip, translate, cutout, type);
  }
}
