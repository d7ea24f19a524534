package io.gradus.benchmarks.kernels;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.backend.Memory;
import io.gradus.backend.RandomKind;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;

/** A kernel's operands, which live until the bench is cleared. */
final class Workbench implements AutoCloseable {
  private static final long SEED = 1;

  private final Backend backend;
  private final List<Memory> taken = new ArrayList<>();
  private long stream;

  Workbench(Backend backend) {
    this.backend = backend;
  }

  Backend backend() {
    return backend;
  }

  /** Memory that holds anything. */
  Buffer empty(DType dtype, long n) {
    Memory memory = backend.allocate(dtype, n);
    taken.add(memory);
    return Buffer.of(memory);
  }

  Buffer zeros(DType dtype, long n) {
    Buffer buffer = empty(dtype, n);
    backend.fill(buffer, 0);
    return buffer;
  }

  /** Standard normal numbers. */
  Buffer normal(DType dtype, long n) {
    Buffer wide = empty(DType.FLOAT32, n);
    backend.random(RandomKind.NORMAL, wide, rng(), stream++, 0, 1);
    if (dtype == DType.FLOAT32) {
      return wide;
    }
    Buffer narrow = empty(dtype, n);
    backend.cast(wide, narrow);
    Memory memory = taken.remove(taken.size() - 2);
    backend.synchronize();
    memory.release();
    return narrow;
  }

  /** Positive numbers, as standard deviations or counts are. */
  Buffer uniform(long n) {
    Buffer buffer = empty(DType.FLOAT32, n);
    backend.random(RandomKind.UNIFORM, buffer, rng(), stream++, 0.5, 1.5);
    return buffer;
  }

  /** INT64 numbers from 0 to classes - 1. */
  Buffer labels(long n, int classes) {
    long[] values = new long[Math.toIntExact(n)];
    for (int i = 0; i < values.length; i++) {
      values[i] = i * 7919L % classes;
    }
    return longs(values);
  }

  Buffer longs(long... values) {
    Buffer buffer = empty(DType.INT64, values.length);
    backend.upload(values, 0, buffer);
    return buffer;
  }

  Buffer doubles(double... values) {
    Buffer buffer = empty(DType.FLOAT64, values.length);
    backend.upload(values, 0, buffer);
    return buffer;
  }

  /** The state of a generator. */
  Buffer rng() {
    return longs(SEED, 0);
  }

  @Override
  public void close() {
    backend.synchronize();
    taken.forEach(Memory::release);
    taken.clear();
  }
}
