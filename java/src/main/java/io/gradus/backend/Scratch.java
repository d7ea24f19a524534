package io.gradus.backend;

import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;

/** Memory that a composed operation needs while it runs; closing releases all of it. */
final class Scratch implements AutoCloseable {
  private final Primitives primitives;
  private final List<Memory> taken = new ArrayList<>();

  Scratch(Primitives primitives) {
    this.primitives = primitives;
  }

  /** Memory of undefined contents, valid until {@link #close()}. */
  Buffer take(DType dtype, long length) {
    Memory memory = primitives.allocate(dtype, length);
    taken.add(memory);
    return Buffer.of(memory);
  }

  /** The same values in a type: the buffer itself where it already has it. */
  Buffer as(DType dtype, Buffer x) {
    if (x.dtype() == dtype) {
      return x;
    }
    Buffer copy = take(dtype, x.length());
    primitives.cast(x, copy);
    return copy;
  }

  /** One element of a value. */
  Buffer scalar(DType dtype, double value) {
    Buffer one = take(dtype, 1);
    primitives.fill(one, value);
    return one;
  }

  /** The type in which sums over elements of a type are formed: 16-bit types widen to FLOAT32. */
  static DType accumulator(DType dtype) {
    return dtype.isHalf() ? DType.FLOAT32 : dtype;
  }

  @Override
  public void close() {
    for (Memory memory : taken) {
      memory.release();
    }
    taken.clear();
  }
}
