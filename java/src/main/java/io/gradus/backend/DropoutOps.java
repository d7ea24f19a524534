package io.gradus.backend;

/**
 * Dropout, by element and by channel. The mask is a function of rng, stream and element alone (see
 * {@link DropoutMask}), so the backward of an operation is the operation itself on the gradient:
 * nothing is stored.
 */
public interface DropoutOps extends Primitives {
  /**
   * y = x / (1 - p) where the mask keeps the element, else 0.
   *
   * @param x input, or in backward the gradient of the output
   * @param rng INT64 [seed, base], on the device
   * @param y output, or in backward the gradient of the input
   * @param n number of elements
   * @param stream number of the random operation
   * @param p probability of dropping, 0 to 1
   */
  default void dropout(Buffer x, Buffer rng, Buffer y, long n, long stream, double p) {
    dropoutChannels(x, rng, y, 1, 1, n, stream, p);
  }

  /**
   * y = x / (1 - p) where the mask keeps element (sample, channel), else 0: one draw for all
   * positions.
   *
   * @param x [samples, positions, channels]
   * @param rng INT64 [seed, base], on the device
   * @param y [samples, positions, channels]
   * @param samples first extent
   * @param positions extent that shares a draw
   * @param channels last extent
   * @param stream number of the random operation
   * @param p probability of dropping, 0 to 1
   */
  default void dropoutChannels(
      Buffer x,
      Buffer rng,
      Buffer y,
      long samples,
      long positions,
      long channels,
      long stream,
      double p) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer kept =
          DropoutMask.compose(
              this, scratch, rng, stream, samples * channels, DropoutMask.threshold(p));
      long[] shape = {samples, positions, channels};
      long[] dense = {positions * channels, channels, 1};
      long[] single = {0, 0, 0};
      Buffer scaled = scratch.take(x.dtype(), x.length());
      binary(
          BinaryOp.MUL,
          x,
          dense,
          scratch.scalar(x.dtype(), DropoutMask.scale(p)),
          single,
          scaled,
          shape);
      where(
          kept,
          new long[] {channels, 0, 1},
          scaled,
          dense,
          scratch.scalar(x.dtype(), 0),
          single,
          y,
          shape);
    }
  }
}
