package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Host arrays of each type's Java carrier, and their little-endian bytes. */
final class HostArrays {
  private HostArrays() {}

  static Object allocate(DType dtype, long length) {
    Checks.argument(
        length <= Integer.MAX_VALUE - 8,
        "[download] %d elements do not fit in one Java array: read slices",
        length);
    int n = (int) length;
    return switch (dtype) {
      case FLOAT32 -> new float[n];
      case FLOAT64 -> new double[n];
      case BFLOAT16, FLOAT16 -> new short[n];
      case INT32 -> new int[n];
      case INT64 -> new long[n];
      case UINT8, BOOL -> new byte[n];
    };
  }

  static Object fromBytes(DType dtype, ByteBuffer source) {
    ByteBuffer bytes = source.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    Object array = allocate(dtype, bytes.remaining() / dtype.bytes());
    switch (dtype) {
      case FLOAT32 -> bytes.asFloatBuffer().get((float[]) array);
      case FLOAT64 -> bytes.asDoubleBuffer().get((double[]) array);
      case BFLOAT16, FLOAT16 -> bytes.asShortBuffer().get((short[]) array);
      case INT32 -> bytes.asIntBuffer().get((int[]) array);
      case INT64 -> bytes.asLongBuffer().get((long[]) array);
      case UINT8 -> bytes.get((byte[]) array);
      case BOOL -> {
        byte[] flags = (byte[]) array;
        bytes.get(flags);
        for (int i = 0; i < flags.length; i++) {
          // Any byte but 0 is true elsewhere; kernels rely on 0 and 1.
          flags[i] = (byte) (flags[i] == 0 ? 0 : 1);
        }
      }
    }
    return array;
  }

  static ByteBuffer toBytes(DType dtype, Object array) {
    long length = java.lang.reflect.Array.getLength(array);
    Checks.argument(
        length * dtype.bytes() <= Integer.MAX_VALUE - 8,
        "[toBytes] %d elements of %s do not fit in one buffer: read slices",
        length,
        dtype);
    ByteBuffer bytes =
        ByteBuffer.allocate((int) (length * dtype.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    switch (dtype) {
      case FLOAT32 -> bytes.asFloatBuffer().put((float[]) array);
      case FLOAT64 -> bytes.asDoubleBuffer().put((double[]) array);
      case BFLOAT16, FLOAT16 -> bytes.asShortBuffer().put((short[]) array);
      case INT32 -> bytes.asIntBuffer().put((int[]) array);
      case INT64 -> bytes.asLongBuffer().put((long[]) array);
      case UINT8, BOOL -> bytes.duplicate().put((byte[]) array);
    }
    return bytes;
  }
}
