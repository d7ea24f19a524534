package io.gradus.backend.plugin;

import java.util.Set;

/** What the allocator asks of a device. */
interface BlockSource {
  /** The address of new memory; 0 when there is no room for it. */
  long allocate(long bytes);

  /** Returns memory to the system. */
  void free(long address);

  /** Bytes that are free now; negative where nobody knows. */
  long freeBytes();

  /** Fills memory with ones, in a stream: reading what was never written then shows. */
  void poison(Block block, long stream);

  /** Waits for all that was enqueued in any stream. */
  void synchronize();

  /** A mark behind what was enqueued in a stream so far. */
  long mark(long stream);

  /** Whether the work before a mark is done. */
  boolean isPast(long mark);

  /** Gives up a mark. */
  void forget(long mark);

  /**
   * The blocks that a running call works with, of any thread. A tensor may be closed by one thread
   * while a call of another computes with it: its memory must stay where it is.
   */
  Set<Block> operands();

  /** Whether the device was lost, and its memory with it. */
  boolean isLost();
}
