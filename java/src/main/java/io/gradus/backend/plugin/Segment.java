package io.gradus.backend.plugin;

import java.util.ArrayList;
import java.util.List;

/**
 * One piece of memory of the system, cut into blocks from its start. It can be returned only as a
 * whole. Guarded by its allocator.
 */
final class Segment {
  /** Whose blocks these are; changes when recorded work gives up its memory. */
  BlockPool pool;

  final long address;
  final long bytes;
  private long cut;
  private int live;
  private final List<Block> blocks = new ArrayList<>();

  Segment(BlockPool pool, long address, long bytes) {
    this.pool = pool;
    this.address = address;
    this.bytes = bytes;
  }

  boolean hasRoom(long wanted) {
    return cut + wanted <= bytes;
  }

  /** The next block, handed out. */
  Block cut(long wanted) {
    Block block = new Block(address + cut, wanted, this);
    blocks.add(block);
    cut += wanted;
    live++;
    return block;
  }

  /** All that was cut from it, in use and free. */
  List<Block> blocks() {
    return blocks;
  }

  void handedOut() {
    live++;
  }

  void returned() {
    live--;
  }

  /** Whether all of its blocks were returned. */
  boolean isIdle() {
    return live == 0;
  }
}
