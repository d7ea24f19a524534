package io.gradus.backend;

/**
 * The recording of a thread's calls on a device. Memory that is allocated meanwhile belongs to the
 * recorded work and is handed out again within the recording alone; memory from before that a call
 * works with stays allocated as long as the recorded work.
 *
 * <p>{@link Primitives#upload}, {@link Primitives#download} and {@link Primitives#synchronize} fail
 * with a {@link io.gradus.core.CaptureException} meanwhile.
 */
public interface Recording extends AutoCloseable {
  /**
   * Lets this thread's calls run at once, with ordinary memory, until the guard is closed. They
   * take effect before what is recorded.
   */
  Pause pause();

  /** Ends the recording. The recorded work has its effect at the first launch, not before. */
  RecordedWork end();

  /** Throws away what was recorded, unless it was ended. */
  @Override
  void close();

  /** Ends a pause. */
  interface Pause extends AutoCloseable {
    @Override
    void close();
  }
}
