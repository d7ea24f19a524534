package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.bytes;

import io.gradus.backend.Buffer;
import io.gradus.core.DType;

/** Element-wise choice between two operands. */
final class Selection {
  private Selection() {}

  static void where(
      Parallel pool,
      Buffer condition,
      long[] conditionStrides,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape) {
    StridedLoop rows =
        new StridedLoop(
            shape,
            new int[] {at(condition), at(a), at(b), at(out)},
            conditionStrides,
            aStrides,
            bStrides,
            StridedLoop.denseStrides(shape));
    DType dtype = a.dtype();
    byte[] c = bytes(condition);
    Object x = array(a);
    Object y = array(b);
    Object z = array(out);
    int sc = rows.stride(0);
    int sa = rows.stride(1);
    int sb = rows.stride(2);
    rows.run(pool, (at, n) -> row(dtype, c, at[0], sc, x, at[1], sa, y, at[2], sb, z, at[3], n));
  }

  private static void row(
      DType dtype,
      byte[] c,
      int cAt,
      int sc,
      Object a,
      int aAt,
      int sa,
      Object b,
      int bAt,
      int sb,
      Object out,
      int at,
      int n) {
    switch (dtype) {
      case FLOAT32 -> {
        float[] x = (float[]) a;
        float[] y = (float[]) b;
        float[] z = (float[]) out;
        for (int i = 0; i < n; i++) {
          z[at + i] = c[cAt + i * sc] != 0 ? x[aAt + i * sa] : y[bAt + i * sb];
        }
      }
      case FLOAT64 -> {
        double[] x = (double[]) a;
        double[] y = (double[]) b;
        double[] z = (double[]) out;
        for (int i = 0; i < n; i++) {
          z[at + i] = c[cAt + i * sc] != 0 ? x[aAt + i * sa] : y[bAt + i * sb];
        }
      }
      case BFLOAT16, FLOAT16 -> {
        short[] x = (short[]) a;
        short[] y = (short[]) b;
        short[] z = (short[]) out;
        for (int i = 0; i < n; i++) {
          z[at + i] = c[cAt + i * sc] != 0 ? x[aAt + i * sa] : y[bAt + i * sb];
        }
      }
      case INT32 -> {
        int[] x = (int[]) a;
        int[] y = (int[]) b;
        int[] z = (int[]) out;
        for (int i = 0; i < n; i++) {
          z[at + i] = c[cAt + i * sc] != 0 ? x[aAt + i * sa] : y[bAt + i * sb];
        }
      }
      case INT64 -> {
        long[] x = (long[]) a;
        long[] y = (long[]) b;
        long[] z = (long[]) out;
        for (int i = 0; i < n; i++) {
          z[at + i] = c[cAt + i * sc] != 0 ? x[aAt + i * sa] : y[bAt + i * sb];
        }
      }
      case UINT8, BOOL -> {
        byte[] x = (byte[]) a;
        byte[] y = (byte[]) b;
        byte[] z = (byte[]) out;
        for (int i = 0; i < n; i++) {
          z[at + i] = c[cAt + i * sc] != 0 ? x[aAt + i * sa] : y[bAt + i * sb];
        }
      }
    }
  }
}
