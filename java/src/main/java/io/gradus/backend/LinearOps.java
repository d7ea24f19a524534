package io.gradus.backend;

import org.jspecify.annotations.Nullable;

/** Fully connected layers: a matrix product with what follows it in the same pass. */
public interface LinearOps extends Primitives {
  /**
   * y = activation(x weight^T + bias); 16-bit types sum in FLOAT32.
   *
   * @param x [rows, inputs]
   * @param weight [outputs, inputs]
   * @param bias [outputs], or null for 0
   * @param y [rows, outputs]
   * @param rows rows of x
   * @param inputs columns of x
   * @param outputs columns of y
   * @param activation applied last
   */
  default void linearForward(
      Buffer x,
      Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      long rows,
      long inputs,
      long outputs,
      Activation activation) {
    MatmulShape product = MatmulShape.of(rows, outputs, inputs, false, true);
    if (bias != null) {
      // Added to the bias rather than the bias to it: a 16-bit sum is then rounded once.
      copy(bias, new long[] {0, 1}, y, new long[] {outputs, 1}, new long[] {rows, outputs});
      product = product.accumulating();
    }
    matmul(product, x, weight, y);
    if (activation == Activation.RELU) {
      unary(UnaryOp.RELU, y, y);
    }
  }
}
