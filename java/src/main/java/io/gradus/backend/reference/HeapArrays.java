package io.gradus.backend.reference;

import io.gradus.backend.Buffer;
import io.gradus.core.DType;

/** Access to the primitive arrays behind buffers, by the carrier types of {@link HeapAllocator}. */
final class HeapArrays {
  /** Elements that one thread works on at least: below it, starting another costs more. */
  static final int GRAIN = 1 << 15;

  private HeapArrays() {}

  /** The carrier array, of whatever type. */
  static Object array(Buffer buffer) {
    return buffer.memory().resource();
  }

  /** The carrier array of a FLOAT32 buffer. */
  static float[] floats(Buffer buffer) {
    return (float[]) buffer.memory().resource();
  }

  /** The carrier array of a FLOAT64 buffer. */
  static double[] doubles(Buffer buffer) {
    return (double[]) buffer.memory().resource();
  }

  /** The carrier array of an INT32 buffer. */
  static int[] ints(Buffer buffer) {
    return (int[]) buffer.memory().resource();
  }

  /** The carrier array of an INT64 buffer. */
  static long[] longs(Buffer buffer) {
    return (long[]) buffer.memory().resource();
  }

  /** The carrier array of a UINT8 or BOOL buffer. */
  static byte[] bytes(Buffer buffer) {
    return (byte[]) buffer.memory().resource();
  }

  /** Position of a buffer's first element in its array. */
  static int at(Buffer buffer) {
    return Math.toIntExact(buffer.offset());
  }

  /** Number of a buffer's elements. */
  static int length(Buffer buffer) {
    return Math.toIntExact(buffer.length());
  }

  /** A new carrier array of zeros. */
  static Object newArray(DType dtype, int length) {
    return switch (dtype) {
      case FLOAT32 -> new float[length];
      case FLOAT64 -> new double[length];
      case BFLOAT16, FLOAT16 -> new short[length];
      case INT32 -> new int[length];
      case INT64 -> new long[length];
      case UINT8, BOOL -> new byte[length];
    };
  }
}
