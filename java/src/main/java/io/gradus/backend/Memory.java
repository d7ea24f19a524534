package io.gradus.backend;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import java.lang.ref.Cleaner;
import java.util.concurrent.atomic.AtomicIntegerFieldUpdater;
import org.jspecify.annotations.Nullable;

/**
 * A reference-counted allocation of elements of one type on one device. The last {@link #release()}
 * returns it to its allocator; one that is merely forgotten is returned when the garbage collector
 * finds it, so that a program which never closes anything still runs in constant memory.
 */
public final class Memory {
  private static final Cleaner CLEANER = Cleaner.create();
  private static final AtomicIntegerFieldUpdater<Memory> REFERENCES =
      AtomicIntegerFieldUpdater.newUpdater(Memory.class, "references");
  private static final AtomicIntegerFieldUpdater<Memory> VERSION =
      AtomicIntegerFieldUpdater.newUpdater(Memory.class, "version");

  private final Lease lease;
  private final Cleaner.Cleanable cleanable;
  // Counted by updaters rather than objects of their own: every operation allocates.
  private volatile int references = 1;
  private volatile int version;

  Memory(Allocator allocator, DType dtype, long length, Object resource, @Nullable Throwable site) {
    this.lease = new Lease(allocator, dtype, length, resource, site);
    this.cleanable = CLEANER.register(this, lease);
  }

  /** Element type. */
  public DType dtype() {
    return lease.dtype;
  }

  /** Number of elements. */
  public long length() {
    return lease.length;
  }

  /**
   * What the backend computes with: a primitive array or a device address.
   *
   * @throws IllegalStateException after the last release
   */
  public Object resource() {
    Checks.state(
        references > 0, "[memory] use after close: this tensor's memory was already freed");
    return lease.resource;
  }

  /** Whether the memory was returned. */
  public boolean isClosed() {
    return references <= 0;
  }

  /**
   * Adds an owner.
   *
   * @throws IllegalStateException after the last release
   */
  public Memory retain() {
    int before = REFERENCES.getAndUpdate(this, n -> n > 0 ? n + 1 : n);
    Checks.state(before > 0, "[memory] use after close: this tensor's memory was already freed");
    return this;
  }

  /**
   * Removes an owner; the last one returns the memory to its allocator.
   *
   * @throws IllegalStateException when there is no owner left
   */
  public void release() {
    int before = REFERENCES.getAndUpdate(this, n -> n > 0 ? n - 1 : n);
    Checks.state(before > 0, "[memory] double close: this memory was already freed");
    if (before == 1) {
      lease.closed = true;
      cleanable.clean();
    }
  }

  /** How often the contents were changed in place; saved tensors compare it. */
  public int version() {
    return version;
  }

  /** Notes a change in place. */
  public void bumpVersion() {
    VERSION.incrementAndGet(this);
  }

  /** What outlives the Memory object: it must not refer back to it. */
  private static final class Lease implements Runnable {
    final Allocator allocator;
    final DType dtype;
    final long length;
    final Object resource;
    final @Nullable Throwable site;
    volatile boolean closed;

    Lease(
        Allocator allocator, DType dtype, long length, Object resource, @Nullable Throwable site) {
      this.allocator = allocator;
      this.dtype = dtype;
      this.length = length;
      this.resource = resource;
      this.site = site;
    }

    @Override
    public void run() {
      if (closed) {
        allocator.reclaim(dtype, length, resource);
      } else {
        allocator.reclaimForgotten(dtype, length, resource, site);
      }
    }
  }
}
