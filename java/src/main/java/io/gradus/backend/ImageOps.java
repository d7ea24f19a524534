package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * From bytes to the input of a network. The value of a byte is {@code (byte / 255 - mean[c])
 * invStd[c]} in FLOAT32, each of the three operations rounded, then converted to the type of the
 * result.
 */
public interface ImageOps extends Primitives {
  /**
   * y = value of images.
   *
   * @param images UINT8 [pixels, channels]
   * @param mean FLOAT32 [channels], or null for 0
   * @param invStd FLOAT32 [channels], or null for 1
   * @param y [pixels, channels], floating
   * @param pixels pixels of all images
   * @param channels channels
   */
  default void imageNormalise(
      Buffer images,
      @Nullable Buffer mean,
      @Nullable Buffer invStd,
      Buffer y,
      long pixels,
      long channels) {
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, DType.FLOAT32, pixels, channels);
      Buffer out = m.apply(BinaryOp.DIV, scratch.as(DType.FLOAT32, images), 255);
      out = m.applyIfPresent(BinaryOp.SUB, out, mean, m.row);
      m.store(m.applyIfPresent(BinaryOp.MUL, out, invStd, m.row), y);
    }
  }

  /**
   * y = value of selected images, cropped, moved, mirrored, and with a square cut out.
   *
   * <p>Sample s of the batch has the words w0 to w3 of Philox block 2 s and w4 to w7 of block 2 s +
   * 1, with key {@code rng[0]} and counter {@code rng[1] + stream}. With below(w, n) = (w n) >> 32,
   * each word decides one thing, whatever else is switched on:
   *
   * <pre>{@code
   * top  = crop ? below(w0, spareHeight + 1) : spareHeight / 2
   * left = crop ? below(w1, spareWidth + 1) : spareWidth / 2
   * down  = below(w2, 2 translate + 1) - translate
   * right = below(w3, 2 translate + 1) - translate
   * mirrored = flip and w4 >> 31
   * centreRow = below(w5, outHeight);  centreColumn = below(w6, outWidth)
   * }</pre>
   *
   * Pixel (i, j) of the result shows pixel (i + top - padding - down, j' + left - padding - right)
   * of the image, j' = outWidth - 1 - j where mirrored, else j. Outside the image it is black (byte
   * 0), or reflected: coordinate -1 is 1, extent is extent - 2, and so on to and fro. The square is
   * rows centreRow - cutout / 2 to centreRow - cutout / 2 + cutout - 1, columns alike; y is 0
   * there.
   *
   * @param images UINT8 [count, height, width, channels]
   * @param index INT64 [batch], in range
   * @param mean FLOAT32 [channels], or null for 0
   * @param invStd FLOAT32 [channels], or null for 1
   * @param rng INT64 [seed, base], on the device; may be null where nothing is random
   * @param y [batch, outHeight, outWidth, channels], floating
   * @param shape sizes and choices, no size of y being 0
   * @param stream number of the random operation
   */
  default void imageAugment(
      Buffer images,
      Buffer index,
      @Nullable Buffer mean,
      @Nullable Buffer invStd,
      @Nullable Buffer rng,
      Buffer y,
      AugmentShape shape,
      long stream) {
    try (Scratch scratch = new Scratch(this)) {
      ImageSampling sampling = new ImageSampling(this, scratch, shape, rng, stream);
      Buffer bytes = sampling.select(images, index);
      Buffer values = scratch.take(DType.FLOAT32, y.length());
      long pixels = shape.batch() * shape.outHeight() * shape.outWidth();
      imageNormalise(bytes, mean, invStd, values, pixels, shape.channels());
      cast(sampling.cutOut(values), y);
    }
  }
}
