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

  /**
   * The gradients of {@link #linearForward}; a null gradient is not computed.
   *
   * <pre>{@code
   * g = gradY * activation'(y)
   * gradX = g weight,  gradWeight = g^T x,  gradBias = sum of the rows of g
   * }</pre>
   *
   * @param gradY [rows, outputs]
   * @param y what forward gave; may be null where the activation is {@link Activation#NONE}
   * @param x [rows, inputs]
   * @param weight [outputs, inputs]
   * @param gradX [rows, inputs]
   * @param gradWeight [outputs, inputs], of the type of x, or FLOAT32 where that has 16 bits: then
   *     it is not rounded
   * @param addsToWeight whether the weight's gradient is added to gradWeight rather than stored
   * @param gradBias [outputs]
   */
  default void linearBackward(
      Buffer gradY,
      @Nullable Buffer y,
      Buffer x,
      Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      boolean addsToWeight,
      @Nullable Buffer gradBias,
      long rows,
      long inputs,
      long outputs,
      Activation activation) {
    Memory gated = null;
    try {
      Buffer g = gradY;
      if (activation == Activation.RELU && y != null) {
        long[] shape = {rows * outputs};
        long[] dense = {1};
        gated = allocate(gradY.dtype(), rows * outputs);
        g = Buffer.of(gated);
        binary(BinaryOp.GATE, gradY, dense, y, dense, g, shape);
      }
      if (gradX != null) {
        matmul(MatmulShape.of(rows, inputs, outputs, false, false), g, weight, gradX);
      }
      if (gradWeight != null) {
        // The product reads the transpose of g as it lies.
        MatmulShape product = MatmulShape.of(outputs, inputs, rows, true, false);
        matmul(addsToWeight ? product.accumulating() : product, g, x, gradWeight);
      }
      if (gradBias != null) {
        reduce(ReduceOp.SUM, g, gradBias, 1, rows, outputs);
      }
    } finally {
      if (gated != null) {
        gated.release();
      }
    }
  }
}
