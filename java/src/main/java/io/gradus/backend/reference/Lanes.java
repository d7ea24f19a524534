package io.gradus.backend.reference;

import io.gradus.core.DType;

/**
 * Runs of elements of any type as double[] (exact for the floating types) or long[] (exact for the
 * integers): the way all types but FLOAT32 are computed with.
 */
final class Lanes {
  /** Elements converted at a time, few enough to stay in the first-level cache. */
  static final int CHUNK = 1024;

  private Lanes() {}

  /** Reads {@code n} elements, {@code stride} apart, as doubles. */
  static void read(DType dtype, Object array, int at, int stride, double[] out, int outAt, int n) {
    switch (dtype) {
      case FLOAT32 -> {
        float[] x = (float[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride];
        }
      }
      case FLOAT64 -> {
        double[] x = (double[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride];
        }
      }
      case BFLOAT16 -> {
        short[] x = (short[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = HalfFloat.fromBfloat16(x[at + i * stride]);
        }
      }
      case FLOAT16 -> {
        short[] x = (short[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = HalfFloat.fromFloat16(x[at + i * stride]);
        }
      }
      case INT32 -> {
        int[] x = (int[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride];
        }
      }
      case INT64 -> {
        long[] x = (long[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride];
        }
      }
      case UINT8, BOOL -> {
        byte[] x = (byte[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride] & 0xFF;
        }
      }
    }
  }

  /** Reads {@code n} elements of an integer type, {@code stride} apart, as longs. */
  static void read(DType dtype, Object array, int at, int stride, long[] out, int outAt, int n) {
    switch (dtype) {
      case INT32 -> {
        int[] x = (int[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride];
        }
      }
      case INT64 -> {
        long[] x = (long[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride];
        }
      }
      case UINT8, BOOL -> {
        byte[] x = (byte[]) array;
        for (int i = 0; i < n; i++) {
          out[outAt + i] = x[at + i * stride] & 0xFF;
        }
      }
      default -> throw new IllegalArgumentException("no integer type: " + dtype);
    }
  }

  /**
   * Writes {@code n} doubles: rounded once to the floating types, toward zero and saturating to the
   * integers, "is not 0" to BOOL.
   */
  static void write(DType dtype, double[] in, int inAt, Object array, int at, int n) {
    switch (dtype) {
      case FLOAT32 -> {
        float[] y = (float[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (float) in[inAt + i];
        }
      }
      case FLOAT64 -> System.arraycopy(in, inAt, (double[]) array, at, n);
      case BFLOAT16 -> {
        short[] y = (short[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = HalfFloat.toBfloat16(in[inAt + i]);
        }
      }
      case FLOAT16 -> {
        short[] y = (short[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = HalfFloat.toFloat16(in[inAt + i]);
        }
      }
      case INT32 -> {
        int[] y = (int[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (int) in[inAt + i];
        }
      }
      case INT64 -> {
        long[] y = (long[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (long) in[inAt + i];
        }
      }
      case UINT8 -> {
        byte[] y = (byte[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (byte) Math.max(0, Math.min(255, (int) in[inAt + i]));
        }
      }
      case BOOL -> {
        byte[] y = (byte[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (byte) (in[inAt + i] != 0 ? 1 : 0);
        }
      }
    }
  }

  /**
   * Writes {@code n} longs: rounded once to the floating types, modulo 2^32 or 256 to the narrower
   * integers, "is not 0" to BOOL.
   */
  static void write(DType dtype, long[] in, int inAt, Object array, int at, int n) {
    switch (dtype) {
      case FLOAT32 -> {
        float[] y = (float[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (float) in[inAt + i];
        }
      }
      case FLOAT64 -> {
        double[] y = (double[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (double) in[inAt + i];
        }
      }
      case BFLOAT16 -> {
        short[] y = (short[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = HalfFloat.toBfloat16(sticky(in[inAt + i]));
        }
      }
      case FLOAT16 -> {
        short[] y = (short[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = HalfFloat.toFloat16(sticky(in[inAt + i]));
        }
      }
      case INT32 -> {
        int[] y = (int[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (int) in[inAt + i];
        }
      }
      case INT64 -> System.arraycopy(in, inAt, (long[]) array, at, n);
      case UINT8 -> {
        byte[] y = (byte[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (byte) in[inAt + i];
        }
      }
      case BOOL -> {
        byte[] y = (byte[]) array;
        for (int i = 0; i < n; i++) {
          y[at + i] = (byte) (in[inAt + i] != 0 ? 1 : 0);
        }
      }
    }
  }

  /**
   * A double that rounds to 16 bits as the long does: beyond 2^53 the low bits are folded into one,
   * so that the two roundings (to double, to 16 bits) cannot both go the same way at a tie.
   */
  private static double sticky(long value) {
    if (Math.abs(value >> 1) < 1L << 52) {
      return value;
    }
    return (value & ~0x7FFL) | ((value & 0x7FF) != 0 ? 0x800 : 0);
  }
}
