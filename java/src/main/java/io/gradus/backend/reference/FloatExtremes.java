package io.gradus.backend.reference;

/** Maxima and minima of floats; NaN when an element is NaN. */
final class FloatExtremes {
  private FloatExtremes() {}

  /** The maximum of {@code n} consecutive floats; minus infinity of nothing. */
  static float rowMax(float[] x, int at, int n) {
    float m0 = Float.NEGATIVE_INFINITY;
    float m1 = m0;
    float m2 = m0;
    float m3 = m0;
    int i = 0;
    for (; i <= n - 4; i += 4) {
      m0 = Math.max(m0, x[at + i]);
      m1 = Math.max(m1, x[at + i + 1]);
      m2 = Math.max(m2, x[at + i + 2]);
      m3 = Math.max(m3, x[at + i + 3]);
    }
    for (; i < n; i++) {
      m0 = Math.max(m0, x[at + i]);
    }
    return Math.max(Math.max(m0, m1), Math.max(m2, m3));
  }

  /** The minimum of {@code n} consecutive floats; infinity of nothing. */
  static float rowMin(float[] x, int at, int n) {
    float m0 = Float.POSITIVE_INFINITY;
    float m1 = m0;
    float m2 = m0;
    float m3 = m0;
    int i = 0;
    for (; i <= n - 4; i += 4) {
      m0 = Math.min(m0, x[at + i]);
      m1 = Math.min(m1, x[at + i + 1]);
      m2 = Math.min(m2, x[at + i + 2]);
      m3 = Math.min(m3, x[at + i + 3]);
    }
    for (; i < n; i++) {
      m0 = Math.min(m0, x[at + i]);
    }
    return Math.min(Math.min(m0, m1), Math.min(m2, m3));
  }
}
