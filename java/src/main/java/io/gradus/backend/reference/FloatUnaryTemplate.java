package io.gradus.backend.reference;

import io.gradus.backend.FloatUnary;
import java.lang.invoke.MethodHandles;

/** Only defined as hidden classes: see {@link FloatLoops}. */
final class FloatUnaryTemplate implements FloatLoops.Unary {
  private static final FloatUnary OP =
      FloatLoops.function(MethodHandles.lookup(), FloatUnary.class);

  FloatUnaryTemplate() {}

  @Override
  public void run(float[] x, int xAt, float[] y, int yAt, int n) {
    for (int i = 0; i < n; i++) {
      y[yAt + i] = OP.apply(x[xAt + i]);
    }
  }
}
