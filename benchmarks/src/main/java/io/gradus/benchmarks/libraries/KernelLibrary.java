package io.gradus.benchmarks.libraries;

/** A vendor's library, in the process of its worker. */
public interface KernelLibrary {
  /** Version and device, in one line. */
  String about();

  /**
   * Prepares a kernel: operands in sets that are three times the cache, and the fastest way that
   * the library has.
   *
   * @throws IllegalArgumentException when the library has no such kernel
   */
  Calls prepare(KernelSpec spec, long cacheBytes);

  /** Calls of a kernel, which take turns among sets of operands. */
  interface Calls extends AutoCloseable {
    /** The seconds that so many calls take. */
    double seconds(int calls);

    /** Frees the operands. */
    @Override
    void close();
  }
}
