package io.gradus.backend;

import io.gradus.core.DType;

/**
 * A window of consecutive elements of a {@link Memory}: what primitives read and write. It does not
 * own the memory.
 *
 * @param memory the allocation
 * @param offset first element
 * @param length number of elements
 */
public record Buffer(Memory memory, long offset, long length) {
  /** The whole of an allocation. */
  public static Buffer of(Memory memory) {
    return new Buffer(memory, 0, memory.length());
  }

  /** Element type. */
  public DType dtype() {
    return memory.dtype();
  }

  /** A part of this window: {@code length} elements from {@code start}. */
  public Buffer slice(long start, long count) {
    return new Buffer(memory, offset + start, count);
  }
}
