package io.gradus.backend.plugin;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The freed blocks of the memory that one stream writes first: work in that stream comes after what
 * used a block before, so they can be handed out again at once. Guarded by its allocator.
 */
final class BlockPool {
  private final long stream;
  // Of each size class the block that was freed last, which names the one before.
  private final @Nullable Block[] free = new Block[DeviceAllocator.CLASSES];
  private final List<Segment> segments = new ArrayList<>();
  private @Nullable Segment open;
  private long cachedBytes;

  BlockPool(long stream) {
    this.stream = stream;
  }

  long stream() {
    return stream;
  }

  long cachedBytes() {
    return cachedBytes;
  }

  /** A freed block of a size class, the one that was freed last. */
  @Nullable Block take(long bytes) {
    int sizeClass = DeviceAllocator.classIndex(bytes);
    Block block = free[sizeClass];
    if (block != null) {
      free[sizeClass] = block.next;
      block.next = null;
      cachedBytes -= bytes;
      block.segment().handedOut();
    }
    return block;
  }

  void put(Block block) {
    push(block);
    cachedBytes += block.bytes();
    block.segment().returned();
  }

  /** A block of what is left of the segment that small blocks are cut from. */
  @Nullable Block cut(long bytes) {
    Segment segment = open;
    return segment != null && segment.hasRoom(bytes) ? segment.cut(bytes) : null;
  }

  /** The first block of new memory; the rest of it serves the next small ones. */
  Block cutNew(long address, long segmentBytes, long bytes) {
    Segment segment = new Segment(this, address, segmentBytes);
    segments.add(segment);
    if (segmentBytes > bytes) {
      open = segment;
    }
    return segment.cut(bytes);
  }

  /** Takes over all memory of another pool, whose work is done or comes earlier in this stream. */
  void adopt(BlockPool other) {
    for (Segment segment : other.segments) {
      segment.pool = this;
    }
    segments.addAll(other.segments);
    other.segments.clear();
    for (int i = 0; i < other.free.length; i++) {
      Block block = other.free[i];
      other.free[i] = null;
      while (block != null) {
        Block before = block.next;
        push(block);
        block = before;
      }
    }
    cachedBytes += other.cachedBytes;
    other.cachedBytes = 0;
    other.open = null;
  }

  /** Forgets segments of which nothing is in use, and gives them. */
  List<Segment> drop(Predicate<Segment> wanted) {
    List<Segment> idle = new ArrayList<>();
    for (Segment segment : segments) {
      if (segment.isIdle() && wanted.test(segment)) {
        idle.add(segment);
      }
    }
    if (idle.isEmpty()) {
      return idle;
    }
    segments.removeAll(idle);
    if (open != null && idle.contains(open)) {
      open = null;
    }
    for (int i = 0; i < free.length; i++) {
      dropFree(i, idle);
    }
    return idle;
  }

  /** Keeps those freed blocks of a size class that are of other segments, in their order. */
  private void dropFree(int sizeClass, List<Segment> gone) {
    Block block = free[sizeClass];
    Block last = null;
    free[sizeClass] = null;
    while (block != null) {
      Block before = block.next;
      block.next = null;
      if (gone.contains(block.segment())) {
        cachedBytes -= block.bytes();
      } else if (last == null) {
        free[sizeClass] = block;
        last = block;
      } else {
        last.next = block;
        last = block;
      }
      block = before;
    }
  }

  private void push(Block block) {
    int sizeClass = DeviceAllocator.classIndex(block.bytes());
    block.next = free[sizeClass];
    free[sizeClass] = block;
  }
}
