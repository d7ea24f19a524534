package io.gradus.backend.reference;

import io.gradus.backend.FloatBinary;
import java.lang.invoke.MethodHandles;

/** Only defined as hidden classes: see {@link FloatLoops}. */
final class FloatBinaryTemplate implements FloatLoops.Binary {
  private static final FloatBinary OP =
      FloatLoops.function(MethodHandles.lookup(), FloatBinary.class);

  FloatBinaryTemplate() {}

  @Override
  public void run(
      float[] a,
      int aAt,
      int aStride,
      float[] b,
      int bAt,
      int bStride,
      float[] out,
      int at,
      int n) {
    if (aStride == 1 && bStride == 1) {
      dense(a, aAt, b, bAt, out, at, n);
    } else if (aStride == 1 && bStride == 0) {
      scalarRight(a, aAt, b[bAt], out, at, n);
    } else if (aStride == 0 && bStride == 1) {
      scalarLeft(a[aAt], b, bAt, out, at, n);
    } else {
      for (int i = 0; i < n; i++) {
        out[at + i] = OP.apply(a[aAt + i * aStride], b[bAt + i * bStride]);
      }
    }
  }

  private static void dense(float[] a, int aAt, float[] b, int bAt, float[] out, int at, int n) {
    for (int i = 0; i < n; i++) {
      out[at + i] = OP.apply(a[aAt + i], b[bAt + i]);
    }
  }

  private static void scalarRight(float[] a, int aAt, float b, float[] out, int at, int n) {
    for (int i = 0; i < n; i++) {
      out[at + i] = OP.apply(a[aAt + i], b);
    }
  }

  private static void scalarLeft(float a, float[] b, int bAt, float[] out, int at, int n) {
    for (int i = 0; i < n; i++) {
      out[at + i] = OP.apply(a, b[bAt + i]);
    }
  }
}
