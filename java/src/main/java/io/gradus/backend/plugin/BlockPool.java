package io.gradus.backend.plugin;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The freed blocks of the memory that one stream writes first: work in that stream comes after what
 * used a block before, so they can be handed out again at once. Guarded by its allocator.
 */
final class BlockPool {
  private final long stream;
  private final Map<Long, ArrayDeque<Block>> free = new HashMap<>();
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
    ArrayDeque<Block> blocks = free.get(bytes);
    Block block = blocks == null ? null : blocks.pollLast();
    if (block != null) {
      cachedBytes -= bytes;
      block.segment().handedOut();
    }
    return block;
  }

  void put(Block block) {
    free.computeIfAbsent(block.bytes(), b -> new ArrayDeque<>()).addLast(block);
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
    other.free.forEach(
        (bytes, blocks) -> free.computeIfAbsent(bytes, b -> new ArrayDeque<>()).addAll(blocks));
    other.free.clear();
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
    for (ArrayDeque<Block> blocks : free.values()) {
      blocks.removeIf(
          block -> {
            boolean gone = idle.contains(block.segment());
            cachedBytes -= gone ? block.bytes() : 0;
            return gone;
          });
    }
    return idle;
  }
}
