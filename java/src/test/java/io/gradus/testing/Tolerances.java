package io.gradus.testing;

import static org.junit.jupiter.api.Assertions.fail;

import io.gradus.core.DType;

/**
 * How far a result may be from its float64 reference: the values of PyTorch's {@code assert_close}
 * per type, multiplied by a factor that the caller justifies (a reduction of K terms has sqrt(K)).
 */
public final class Tolerances {
  private Tolerances() {}

  /** The relative part. */
  public static double relative(DType dtype) {
    return switch (dtype) {
      case FLOAT64 -> 1e-7;
      case FLOAT32 -> 1.3e-6;
      case FLOAT16 -> 1e-3;
      case BFLOAT16 -> 1.6e-2;
      case INT32, INT64, UINT8, BOOL -> 0;
    };
  }

  /** The absolute part. */
  public static double absolute(DType dtype) {
    return switch (dtype) {
      case FLOAT64 -> 1e-7;
      case FLOAT32, FLOAT16, BFLOAT16 -> 1e-5;
      case INT32, INT64, UINT8, BOOL -> 0;
    };
  }

  /** What one rounding to a 16-bit type may cost, relatively. */
  public static double rounding(DType dtype) {
    return dtype == DType.BFLOAT16 ? 0x1p-8 : 0x1p-11;
  }

  /** Fails where an element is farther from the expected one than the type allows. */
  public static void assertClose(
      String what, double[] expected, double[] actual, DType dtype, double factor) {
    assertClose(what, expected, actual, relative(dtype) * factor, absolute(dtype) * factor);
  }

  /** Fails where an element is farther than {@code absolute + relative |expected|}. */
  public static void assertClose(
      String what, double[] expected, double[] actual, double relative, double absolute) {
    if (expected.length != actual.length) {
      fail(what + ": " + expected.length + " elements expected, not " + actual.length);
    }
    for (int i = 0; i < expected.length; i++) {
      double e = expected[i];
      double a = actual[i];
      boolean same = e == a || (Double.isNaN(e) && Double.isNaN(a));
      if (!same && !(Math.abs(e - a) <= absolute + relative * Math.abs(e))) {
        fail(
            String.format(
                "%s: element %d of %d is %s, expected %s; off by %.3g, allowed %.3g",
                what,
                i,
                expected.length,
                a,
                e,
                Math.abs(e - a),
                absolute + relative * Math.abs(e)));
      }
    }
  }
}
