package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;

import io.gradus.backend.Buffer;
import io.gradus.core.DType;

/** Conversions between element types. Integers to narrower integers keep the low bits. */
final class Casts {
  private Casts() {}

  static void cast(Parallel pool, Buffer src, Buffer dst) {
    DType from = src.dtype();
    DType to = dst.dtype();
    Object x = array(src);
    Object y = array(dst);
    int xAt = at(src);
    int yAt = at(dst);
    pool.range(
        dst.length(),
        HeapArrays.GRAIN,
        (i, end) -> convert(from, x, xAt + i, to, y, yAt + i, end - i));
  }

  /** A part of a buffer as new floats; for 16-bit floating types. */
  static float[] toFloats(Parallel pool, Buffer src) {
    float[] out = new float[HeapArrays.length(src)];
    Object x = array(src);
    int at = at(src);
    DType dtype = src.dtype();
    pool.range(
        out.length,
        HeapArrays.GRAIN,
        (i, end) -> convert(dtype, x, at + i, DType.FLOAT32, out, i, end - i));
    return out;
  }

  /** Stores floats as the buffer's type. */
  static void fromFloats(Parallel pool, float[] values, Buffer dst) {
    Object y = array(dst);
    int at = at(dst);
    DType dtype = dst.dtype();
    pool.range(
        dst.length(),
        HeapArrays.GRAIN,
        (i, end) -> convert(DType.FLOAT32, values, i, dtype, y, at + i, end - i));
  }

  private static void convert(DType from, Object x, int xAt, DType to, Object y, int yAt, int n) {
    if (from == to) {
      System.arraycopy(x, xAt, y, yAt, n);
    } else if (x instanceof float[] floats && y instanceof short[] halves) {
      narrow(floats, xAt, to, halves, yAt, n);
    } else if (x instanceof short[] halves && y instanceof float[] floats) {
      widen(from, halves, xAt, floats, yAt, n);
    } else if (x instanceof byte[] bytes && y instanceof float[] floats) {
      for (int i = 0; i < n; i++) {
        floats[yAt + i] = bytes[xAt + i] & 0xFF;
      }
    } else if (from.isFloating()) {
      double[] lane = new double[Math.min(n, Lanes.CHUNK)];
      for (int done = 0; done < n; done += lane.length) {
        int count = Math.min(lane.length, n - done);
        Lanes.read(from, x, xAt + done, 1, lane, 0, count);
        Lanes.write(to, lane, 0, y, yAt + done, count);
      }
    } else {
      long[] lane = new long[Math.min(n, Lanes.CHUNK)];
      for (int done = 0; done < n; done += lane.length) {
        int count = Math.min(lane.length, n - done);
        Lanes.read(from, x, xAt + done, 1, lane, 0, count);
        Lanes.write(to, lane, 0, y, yAt + done, count);
      }
    }
  }

  private static void narrow(float[] x, int xAt, DType to, short[] y, int yAt, int n) {
    if (to == DType.BFLOAT16) {
      for (int i = 0; i < n; i++) {
        y[yAt + i] = HalfFloat.toBfloat16(x[xAt + i]);
      }
    } else {
      for (int i = 0; i < n; i++) {
        y[yAt + i] = HalfFloat.toFloat16(x[xAt + i]);
      }
    }
  }

  private static void widen(DType from, short[] x, int xAt, float[] y, int yAt, int n) {
    if (from == DType.BFLOAT16) {
      for (int i = 0; i < n; i++) {
        y[yAt + i] = HalfFloat.fromBfloat16(x[xAt + i]);
      }
    } else {
      for (int i = 0; i < n; i++) {
        y[yAt + i] = HalfFloat.fromFloat16(x[xAt + i]);
      }
    }
  }
}
