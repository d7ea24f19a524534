package io.gradus.backend.plugin;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** A piece of device memory. What it is in use for is guarded by its allocator. */
final class Block {
  private final long address;
  private final long bytes;
  private final Segment segment;

  /** The block below it on its pool's stack of free ones. */
  @Nullable Block next;

  private @Nullable DType dtype;
  private long length;

  Block(long address, long bytes, Segment segment) {
    this.address = address;
    this.bytes = bytes;
    this.segment = segment;
  }

  /** Device address, aligned to 256 bytes. */
  long address() {
    return address;
  }

  /** Its size. */
  long bytes() {
    return bytes;
  }

  /** What it was cut from. */
  Segment segment() {
    return segment;
  }

  /** Notes what it was allocated for. */
  void hold(DType type, long elements) {
    dtype = type;
    length = elements;
  }

  /** Notes that it was given back. */
  void letGo() {
    dtype = null;
  }

  /** The type of the elements that it was allocated for; null where it is free. */
  @Nullable DType dtype() {
    return dtype;
  }

  /** The bytes that it was allocated for. */
  long heldBytes() {
    return dtype == null ? 0 : length * dtype.bytes();
  }

  /** What it was allocated for, as in {@code FLOAT32[300]}. */
  String held() {
    return dtype + "[" + length + "]";
  }
}
