package io.gradus.backend.plugin;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Memory without a device: a limit, streams that stand until they are told to go on, and a log. */
final class FakeBlocks implements BlockSource {
  private static final long ALIGNMENT = 256;

  /** Sizes of what was asked for and not returned, by address. */
  final Map<Long, Long> held = new HashMap<>();

  final Set<Block> operands = new HashSet<>();
  private final Map<Long, Long> marks = new HashMap<>();
  private final Map<Long, Long> enqueued = new HashMap<>();
  private final Map<Long, Long> reached = new HashMap<>();
  private final long limit;
  private long nextAddress = ALIGNMENT;
  private long nextMark = 1;
  int allocations;
  int frees;
  int synchronisations;
  boolean lost;

  FakeBlocks(long limit) {
    this.limit = limit;
  }

  synchronized long heldBytes() {
    return held.values().stream().mapToLong(Long::longValue).sum();
  }

  @Override
  public synchronized long allocate(long bytes) {
    allocations++;
    if (heldBytes() + bytes > limit) {
      return 0;
    }
    long address = nextAddress;
    nextAddress += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    held.put(address, bytes);
    return address;
  }

  @Override
  public synchronized void free(long address) {
    frees++;
    if (held.remove(address) == null) {
      throw new AssertionError("freed twice, or not a segment: " + address);
    }
  }

  @Override
  public long freeBytes() {
    return limit - heldBytes();
  }

  @Override
  public void poison(Block block, long stream) {}

  @Override
  public synchronized void synchronize() {
    synchronisations++;
    reached.putAll(enqueued);
  }

  @Override
  public synchronized long mark(long stream) {
    long position = enqueued.merge(stream, 1L, Long::sum);
    marks.put(nextMark, stream << 32 | position);
    return nextMark++;
  }

  /** Lets a stream do all that was enqueued. */
  synchronized void goOn(long stream) {
    reached.put(stream, enqueued.getOrDefault(stream, 0L));
  }

  @Override
  public synchronized boolean isPast(long mark) {
    long place = marks.get(mark);
    return reached.getOrDefault(place >>> 32, 0L) >= (int) place;
  }

  @Override
  public synchronized void forget(long mark) {
    if (marks.remove(mark) == null) {
      throw new AssertionError("forgotten twice: " + mark);
    }
  }

  synchronized int openMarks() {
    return marks.size();
  }

  @Override
  public synchronized Set<Block> operands() {
    return new HashSet<>(operands);
  }

  @Override
  public boolean isLost() {
    return lost;
  }
}
