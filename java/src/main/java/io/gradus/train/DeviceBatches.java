package io.gradus.train;

import io.gradus.core.Device;
import io.gradus.data.Batch;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.Iterator;
import org.jspecify.annotations.Nullable;

/**
 * Batches on a device, one ahead: after the work on a batch was enqueued, {@link #bringNext()}
 * starts the copy of the next one, which then is there when the work is done. A batch lives until
 * the next one is asked for.
 */
final class DeviceBatches implements AutoCloseable {
  private final Iterator<Batch> host;
  private final Device device;
  private @Nullable Batch current;
  private @Nullable Batch next;

  DeviceBatches(Iterator<Batch> host, Device device) {
    this.host = host;
    this.device = device;
  }

  boolean hasNext() {
    return next != null || host.hasNext();
  }

  /** The next batch, which is brought now where nobody did before. */
  Batch next() {
    free(current);
    Batch out = next == null ? bring() : next;
    current = out;
    next = null;
    return out;
  }

  /** Starts to bring the batch after the current one, if there is one. */
  void bringNext() {
    if (next == null && host.hasNext()) {
      next = bring();
    }
  }

  private Batch bring() {
    try (Scope s = Scope.open()) {
      Batch batch = host.next();
      Tensor x = batch.x().to(device);
      Tensor y = batch.y().to(device);
      return new Batch(batch.index(), Scope.escape(x), Scope.escape(y));
    }
  }

  private static void free(@Nullable Batch batch) {
    if (batch != null) {
      batch.close();
    }
  }

  @Override
  public void close() {
    free(current);
    free(next);
    current = null;
    next = null;
  }
}
