package io.gradus.backend.plugin;

import io.gradus.backend.Allocator;
import io.gradus.backend.AllocatorStatistics;
import io.gradus.backend.LeakDetector;
import io.gradus.backend.Memory;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceLostException;
import io.gradus.core.DeviceMemoryException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Device memory that is kept when it is freed: a training step in its stride asks the system for
 * nothing. Freed blocks wait by size class, eight classes from each power of two to the next; small
 * ones are cut from segments. A block belongs to the stream that writes it first and can be handed
 * out again at once in that stream; one that other streams used too waits until they have passed.
 */
final class DeviceAllocator extends Allocator {
  /** Blocks below this size are cut from segments of twice the size. */
  static final long LARGE = 1L << 20;

  static final long SEGMENT = 2L << 20;

  /** Below this much memory the garbage collector is not asked for what nobody closed. */
  static final long LEAST_PRESSURE = 512L << 20;

  private static final long SMALLEST = 512;
  private static final int STEPS_LOG2 = 3;

  /** Up to this power of two, sizes are multiples of the smallest. */
  private static final int EVEN_LOG2 = 12;

  /** How many size classes there are. */
  static final int CLASSES = (Long.SIZE - EVEN_LOG2) << STEPS_LOG2;

  private static final int BLOCKS_NAMED = 3;
  private static final int COLLECTIONS = 4;
  private static final long COLLECTION_WAIT_MS = 20;

  /** The memory of what a thread records. */
  private record Planned(Thread thread, BlockPool pool) {}

  /** A freed block that other streams have still to pass. */
  private record Pending(Block block, List<Long> marks) {}

  private final Device device;
  private final BlockSource source;
  private final Runnable collector;
  private final BlockPool compute;
  private final BlockPool ahead;
  private volatile @Nullable Planned planned;
  private final ArrayDeque<Pending> pending = new ArrayDeque<>();
  private final Map<Block, List<Long>> otherStreams = new HashMap<>();
  private final Set<Segment> segments = new LinkedHashSet<>();
  private long systemBytes;
  private long systemCalls;
  private long hits;
  private long pressure = LEAST_PRESSURE;

  /**
   * An allocator of a device's memory.
   *
   * @param stream the stream that kernels run in
   * @param copyStream the stream that host memory is copied in ahead of its use
   * @param collector asks the garbage collector to look for what nobody closed
   */
  DeviceAllocator(
      Device device, BlockSource source, long stream, long copyStream, Runnable collector) {
    this.device = device;
    this.source = source;
    this.collector = collector;
    this.compute = new BlockPool(stream);
    this.ahead = new BlockPool(copyStream);
  }

  @Override
  public synchronized AllocatorStatistics statistics() {
    return new AllocatorStatistics(
        liveBytes(),
        liveCount(),
        peakBytes(),
        compute.cachedBytes() + ahead.cachedBytes(),
        systemBytes,
        hits,
        systemCalls);
  }

  /** A block's size for so many bytes. */
  static long sizeClass(long bytes) {
    if (bytes <= SMALLEST) {
      return SMALLEST;
    }
    long step = Math.max(SMALLEST, Long.highestOneBit(bytes - 1) >>> STEPS_LOG2);
    return (bytes + step - 1) / step * step;
  }

  /** The number of a size that {@link #sizeClass} gave, counted from 0. */
  static int classIndex(long bytes) {
    int log2 = 63 - Long.numberOfLeadingZeros(bytes - 1);
    if (log2 < EVEN_LOG2) {
      return (int) (bytes / SMALLEST) - 1;
    }
    // The sizes from 2^log2 (without it) to 2^(log2 + 1) are that and 1 to 8 eighths more.
    int eighths = (int) ((bytes - (1L << log2)) >>> (log2 - STEPS_LOG2));
    return ((log2 - EVEN_LOG2 + 1) << STEPS_LOG2) + eighths - 1;
  }

  @Override
  protected Object acquire(DType dtype, long length) {
    Planned plan = planned;
    BlockPool pool =
        plan != null && plan.thread() == Thread.currentThread() ? plan.pool() : compute;
    return acquire(pool, dtype, length);
  }

  /**
   * Lets this thread allocate from a pool of its own: that of work which it records for a stream;
   * null ends it. The pool's memory serves nobody else until {@link #adopt}.
   */
  void plan(@Nullable BlockPool pool) {
    planned = pool == null ? null : new Planned(Thread.currentThread(), pool);
  }

  /** Takes over the memory of recorded work that is not launched any more. */
  synchronized void adopt(BlockPool pool) {
    compute.adopt(pool);
  }

  /** Memory that the copy stream may write at once, and the compute stream uses later. */
  Memory allocateAhead(DType dtype, long length) {
    Block block = acquire(ahead, dtype, length);
    usedIn(block, compute.stream());
    return lease(dtype, length, block);
  }

  private Block acquire(BlockPool pool, DType dtype, long length) {
    long bytes = sizeClass(Math.multiplyExact(length, (long) dtype.bytes()));
    Block block = take(pool, bytes);
    if (block == null) {
      collectUnderPressure(bytes);
      block = fresh(pool, bytes);
    }
    hold(block, dtype, length);
    if (LeakDetector.level() == LeakDetector.Level.PARANOID) {
      source.poison(block, pool.stream());
    }
    return block;
  }

  @Override
  protected void recycle(DType dtype, long length, Object resource) {
    Block block = (Block) resource;
    if (source.isLost()) {
      return;
    }
    try {
      put(block);
    } catch (DeviceLostException e) {
      // Closing never throws; the next call on the device will say that it was lost.
      return;
    }
  }

  /** Notes that a block is used in a stream other than its own. */
  synchronized void usedIn(Block block, long stream) {
    List<Long> streams = otherStreams.computeIfAbsent(block, b -> new ArrayList<>(1));
    if (!streams.contains(stream)) {
      streams.add(stream);
    }
  }

  private synchronized @Nullable Block take(BlockPool pool, long bytes) {
    Block block = pool.take(bytes);
    if (block == null && !pending.isEmpty()) {
      settle();
      block = pool.take(bytes);
    }
    if (block == null) {
      return pool.cut(bytes);
    }
    hits++;
    return block;
  }

  private synchronized void hold(Block block, DType dtype, long length) {
    block.hold(dtype, length);
  }

  private synchronized void put(Block block) {
    block.letGo();
    List<Long> streams = otherStreams.remove(block);
    if (streams == null) {
      block.segment().pool.put(block);
      return;
    }
    List<Long> marks = new ArrayList<>(streams.size());
    for (long stream : streams) {
      marks.add(source.mark(stream));
    }
    pending.add(new Pending(block, marks));
  }

  /** Moves blocks that all streams have passed to their pools, up to the first that is in use. */
  private void settle() {
    while (!pending.isEmpty()) {
      Pending oldest = pending.element();
      for (long mark : oldest.marks()) {
        if (!source.isPast(mark)) {
          return;
        }
      }
      pending.remove();
      for (long mark : oldest.marks()) {
        source.forget(mark);
      }
      oldest.block().segment().pool.put(oldest.block());
    }
  }

  /**
   * A block from the system. When there is none, the cache goes first, then unreachable tensors.
   */
  private Block fresh(BlockPool pool, long bytes) {
    Block block = allocate(pool, bytes);
    for (int i = 0; block == null && i <= COLLECTIONS; i++) {
      if (i > 0) {
        awaitCollection();
      }
      dropCache();
      block = allocate(pool, bytes);
    }
    if (block == null) {
      throw new DeviceMemoryException(exhausted(bytes));
    }
    return block;
  }

  private synchronized @Nullable Block allocate(BlockPool pool, long bytes) {
    Block block = bytes < LARGE ? allocate(pool, bytes, SEGMENT) : null;
    return block != null ? block : allocate(pool, bytes, bytes);
  }

  private @Nullable Block allocate(BlockPool pool, long bytes, long segmentBytes) {
    systemCalls++;
    long address = source.allocate(segmentBytes);
    if (address == 0) {
      return null;
    }
    systemBytes += segmentBytes;
    Block block = pool.cutNew(address, segmentBytes, bytes);
    segments.add(block.segment());
    return block;
  }

  /** Returns to the system what is cached and of which no running call makes use. */
  synchronized void dropCache() {
    source.synchronize();
    settle();
    Set<Segment> busy = new HashSet<>();
    for (Block block : source.operands()) {
      busy.add(block.segment());
    }
    for (BlockPool pool : List.of(compute, ahead)) {
      for (Segment segment : pool.drop(s -> !busy.contains(s))) {
        source.free(segment.address);
        segments.remove(segment);
        systemBytes -= segment.bytes;
      }
    }
  }

  /**
   * The collector sees tensors as a few bytes each and would let gigabytes of device memory wait;
   * whenever what is held has doubled, it is asked to look.
   */
  private void collectUnderPressure(long bytes) {
    synchronized (this) {
      if (systemBytes + bytes <= pressure) {
        return;
      }
      pressure = Math.max(LEAST_PRESSURE, 2 * (systemBytes + bytes));
    }
    collector.run();
  }

  private void awaitCollection() {
    collector.run();
    try {
      // What the collector found is returned by the cleaner's thread.
      Thread.sleep(COLLECTION_WAIT_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private String exhausted(long bytes) {
    long available = source.freeBytes();
    List<Block> largest = largest();
    StringBuilder text = new StringBuilder();
    for (Block block : largest.subList(0, Math.min(BLOCKS_NAMED, largest.size()))) {
      text.append(text.length() == 0 ? "" : ", ")
          .append(block.held())
          .append(' ')
          .append(megabytes(block.heldBytes()));
    }
    return String.format(
        "[memory] %s has no room for %s: %s are free, %d tensors hold %s, the largest are %s; use"
            + " smaller batches, or close what is no longer needed",
        device,
        megabytes(bytes),
        available < 0 ? "unknown" : megabytes(available),
        liveCount(),
        megabytes(liveBytes()),
        text.length() == 0 ? "none" : text);
  }

  /** What is in use, the largest first. */
  private synchronized List<Block> largest() {
    List<Block> out = new ArrayList<>();
    for (Segment segment : segments) {
      for (Block block : segment.blocks()) {
        if (block.dtype() != null) {
          out.add(block);
        }
      }
    }
    out.sort(Comparator.comparingLong(Block::heldBytes).reversed());
    return out;
  }

  private static String megabytes(long bytes) {
    return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }
}
