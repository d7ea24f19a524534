package io.gradus.backend;

/** Calls of a device that were recorded, with their memory: a CUDA graph, or a list of launches. */
public interface RecordedWork extends AutoCloseable {
  /** Enqueues all of it, in one call, and returns before it is done. */
  void launch();

  /** Waits until it is done and frees it with its memory; closing again does nothing. */
  @Override
  void close();
}
