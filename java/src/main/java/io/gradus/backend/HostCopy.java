package io.gradus.backend;

/**
 * Room on the host for the values of a buffer, which are copied there while the device goes on. One
 * copy at a time; used by one thread.
 */
public interface HostCopy extends AutoCloseable {
  /** Begins to copy what the buffer holds when the calls so far have taken effect. */
  void start(Buffer src);

  /** Whether the copy is there; true where none was started. */
  boolean isDone();

  /** Waits for the copy and gives one of its elements, of any type but the 16-bit ones. */
  double get(int index);

  /** Waits for the copy and frees the room; closing again does nothing. */
  @Override
  void close();
}
