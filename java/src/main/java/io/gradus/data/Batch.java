package io.gradus.data;

import io.gradus.tensor.Tensor;

/**
 * Samples that go through the network together.
 *
 * @param index number of the batch in its epoch, from 0
 * @param x values, float32: {@code [B, H, W, C]} for images, {@code [B, F]} for tables
 * @param y classes, int64: {@code [B]}
 */
public record Batch(int index, Tensor x, Tensor y) implements AutoCloseable {
  /** Number of samples. */
  public int size() {
    return (int) y.numel();
  }

  /** Frees both tensors; needless where a {@link io.gradus.tensor.Scope} frees them. */
  @Override
  public void close() {
    x.close();
    y.close();
  }
}
