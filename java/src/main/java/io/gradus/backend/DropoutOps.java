package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Dropout, by element and by channel, alone or between a bias and a residual. The mask is a
 * function of rng, stream and element alone (see {@link DropoutMask}), so the backward of an
 * operation is the operation itself on the gradient: nothing is stored.
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
   * y = dropout(x + bias) + residual. 16-bit types compute in FLOAT32 and round once. The gradient
   * of x is {@link #dropout} of that of y.
   *
   * @param x [rows, cols]
   * @param bias [cols], or null for 0
   * @param residual [rows, cols], or null for 0
   * @param rng INT64 [seed, base], on the device
   * @param y [rows, cols]
   * @param rows rows
   * @param cols columns
   * @param stream number of the random operation
   * @param p probability of dropping, 0 to 1
   */
  default void biasDropoutResidual(
      Buffer x,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer rng,
      Buffer y,
      long rows,
      long cols,
      long stream,
      double p) {
    DType dtype = Scratch.accumulator(x.dtype());
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, rows, cols);
      Buffer out = m.applyIfPresent(BinaryOp.ADD, scratch.as(dtype, x), bias, m.row);
      Buffer dropped = scratch.take(dtype, x.length());
      dropout(out, rng, dropped, x.length(), stream, p);
      m.store(m.applyIfPresent(BinaryOp.ADD, dropped, residual, m.full), y);
    }
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
