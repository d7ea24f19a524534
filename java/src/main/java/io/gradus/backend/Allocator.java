package io.gradus.backend;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Hands out {@link Memory} and keeps count of it. A backend supplies how elements are obtained and
 * given back; policy (caching, limits) is the subclass's.
 */
public abstract class Allocator {
  private final AtomicLong liveBytes = new AtomicLong();
  private final AtomicLong liveCount = new AtomicLong();
  private final AtomicLong peakBytes = new AtomicLong();

  /** For subclasses. */
  protected Allocator() {}

  /**
   * Memory of undefined contents.
   *
   * @param dtype element type
   * @param length number of elements, 0 allowed
   */
  public final Memory allocate(DType dtype, long length) {
    Checks.argument(length >= 0, "[memory] cannot allocate %d elements", length);
    return lease(dtype, length, acquire(dtype, length));
  }

  /** Counts a resource that was obtained for an allocation, and makes its memory. */
  protected final Memory lease(DType dtype, long length, Object resource) {
    long live = liveBytes.addAndGet(length * dtype.bytes());
    peakBytes.accumulateAndGet(live, Math::max);
    liveCount.incrementAndGet();
    return new Memory(this, dtype, length, resource, LeakDetector.site());
  }

  final void reclaim(DType dtype, long length, Object resource) {
    uncount(dtype, length);
    recycle(dtype, length, resource);
  }

  final void reclaimForgotten(
      DType dtype, long length, Object resource, @Nullable Throwable leakSite) {
    if (leakSite != null) {
      LeakDetector.report(length + " elements of " + dtype, leakSite);
    }
    uncount(dtype, length);
    recycleForgotten(dtype, length, resource);
  }

  private void uncount(DType dtype, long length) {
    liveBytes.addAndGet(-length * dtype.bytes());
    liveCount.decrementAndGet();
  }

  /** Obtains the resource of an allocation; its contents may be anything. */
  protected abstract Object acquire(DType dtype, long length);

  /**
   * Takes a resource back whose memory was closed. Either this or {@link #recycleForgotten} is
   * called once for each {@link #acquire}, from any thread.
   */
  protected abstract void recycle(DType dtype, long length, Object resource);

  /**
   * Takes a resource back whose memory the garbage collector found. An operation may still be
   * working on it, since nothing keeps a {@link Memory} reachable once its resource was read: a
   * backend that does not see to that itself must not hand the resource out again. The default is
   * {@link #recycle}.
   */
  protected void recycleForgotten(DType dtype, long length, Object resource) {
    recycle(dtype, length, resource);
  }

  /** Bytes of all allocations not yet returned. */
  public final long liveBytes() {
    return liveBytes.get();
  }

  /** Number of allocations not yet returned. */
  public final long liveCount() {
    return liveCount.get();
  }

  /** The highest value {@link #liveBytes()} has had. */
  public final long peakBytes() {
    return peakBytes.get();
  }

  /** All that is counted; an allocator without a cache counts only live memory. */
  public AllocatorStatistics statistics() {
    return new AllocatorStatistics(liveBytes(), liveCount(), peakBytes(), 0, 0, 0, 0);
  }
}
