package io.gradus.backend;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import java.lang.reflect.Array;

/** Copies into a Java array, at once. */
final class ArrayCopy implements HostCopy {
  private final Primitives primitives;
  private final Object array;

  ArrayCopy(Primitives primitives, DType dtype, int length) {
    Checks.argument(!dtype.isHalf(), "[hostCopy] of %s: convert to FLOAT32 first", dtype);
    this.primitives = primitives;
    this.array =
        switch (dtype) {
          case FLOAT64 -> new double[length];
          case INT32 -> new int[length];
          case INT64 -> new long[length];
          case UINT8, BOOL -> new byte[length];
          default -> new float[length];
        };
  }

  @Override
  public void start(Buffer src) {
    primitives.download(src, array, 0);
  }

  @Override
  public boolean isDone() {
    return true;
  }

  @Override
  public double get(int index) {
    return array instanceof byte[] bytes ? bytes[index] & 0xFF : Array.getDouble(array, index);
  }

  @Override
  public void close() {}
}
