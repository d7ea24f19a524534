package io.gradus.backend.reference;

import io.gradus.backend.FloatCompare;
import java.lang.invoke.MethodHandles;

/** Only defined as hidden classes: see {@link FloatLoops}. */
final class FloatCompareTemplate implements FloatLoops.Compare {
  private static final FloatCompare OP =
      FloatLoops.function(MethodHandles.lookup(), FloatCompare.class);

  FloatCompareTemplate() {}

  @Override
  public void run(
      float[] a, int aAt, int aStride, float[] b, int bAt, int bStride, byte[] out, int at, int n) {
    for (int i = 0; i < n; i++) {
      out[at + i] = (byte) (OP.test(a[aAt + i * aStride], b[bAt + i * bStride]) ? 1 : 0);
    }
  }
}
