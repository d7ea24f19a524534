package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.KernelSpec;
import io.gradus.benchmarks.libraries.Values;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.BytePointer;

/** A kernel's operands on the GPU, until they are closed. */
final class Operands implements AutoCloseable {
  /** Odd, so that no row of a matrix begins as another does. */
  private static final int PATTERN = (1 << 20) + 7;

  /** Bytes between the places where operands begin in it: a whole number of elements. */
  private static final int STEP = 4 * 8191;

  private static final String FLOAT32 = "float32";

  private final Gpu gpu;
  private final KernelSpec spec;
  private final BytePointer typed;
  private final BytePointer wide;
  private final List<BytePointer> taken = new ArrayList<>();
  private long bytes;
  private long begin;

  Operands(Gpu gpu, KernelSpec spec) {
    this.gpu = gpu;
    this.spec = spec;
    typed = new BytePointer(Values.normal(spec, PATTERN));
    KernelSpec floats = new KernelSpec(spec.name(), spec.words(), FLOAT32);
    wide = new BytePointer(Values.normal(floats, PATTERN));
  }

  /** Standard normal numbers of the kernel's type. */
  BytePointer normal(long n) {
    return filled(n * spec.bytes(), typed);
  }

  /** The same of float32, whatever the kernel's type. */
  BytePointer floats(long n) {
    return filled(n * Float.BYTES, wide);
  }

  /** Room for results of the kernel's type. */
  BytePointer empty(long n) {
    return room(n * spec.bytes());
  }

  /** Room for results of so many bytes; at least one, so that there is an address. */
  BytePointer room(long size) {
    BytePointer memory = gpu.allocate(Math.max(1, size));
    taken.add(memory);
    bytes += size;
    return memory;
  }

  /** Room for what a library needs besides, which does not count as bytes of a set. */
  BytePointer scratch(long size) {
    BytePointer memory = room(size);
    bytes -= size;
    return memory;
  }

  private BytePointer filled(long size, BytePointer pattern) {
    BytePointer memory = room(size);
    // No two operands are equal.
    begin = (begin + STEP) % (pattern.limit() / 2);
    Gpu.fill(memory, size, new BytePointer(pattern).position(begin), pattern.limit() - begin);
    return memory;
  }

  /** The bytes of all so far. */
  long bytes() {
    return bytes;
  }

  @Override
  public void close() {
    taken.forEach(Gpu::free);
    taken.clear();
  }
}
