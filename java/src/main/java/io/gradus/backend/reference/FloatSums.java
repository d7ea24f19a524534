package io.gradus.backend.reference;

/** Sums of floats in float64, with enough independent additions to keep up with memory. */
final class FloatSums {
  private FloatSums() {}

  /** The sum of {@code n} consecutive floats. */
  static double row(float[] x, int at, int n) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    double s4 = 0;
    double s5 = 0;
    double s6 = 0;
    double s7 = 0;
    int i = 0;
    for (; i <= n - 8; i += 8) {
      s0 += x[at + i];
      s1 += x[at + i + 1];
      s2 += x[at + i + 2];
      s3 += x[at + i + 3];
      s4 += x[at + i + 4];
      s5 += x[at + i + 5];
      s6 += x[at + i + 6];
      s7 += x[at + i + 7];
    }
    for (; i < n; i++) {
      s0 += x[at + i];
    }
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
  }

  /** Adds {@code rows} rows of floats, {@code stride} apart, to a row of sums. */
  static void columns(
      float[] x, int at, int stride, int rows, double[] sums, int sumsAt, int width) {
    int i = 0;
    for (; i <= rows - 4; i += 4) {
      fourRows(x, at + i * stride, stride, sums, sumsAt, width);
    }
    for (; i < rows; i++) {
      int row = at + i * stride;
      for (int j = 0; j < width; j++) {
        sums[sumsAt + j] += x[row + j];
      }
    }
  }

  private static void fourRows(
      float[] x, int at, int stride, double[] sums, int sumsAt, int width) {
    int r1 = at + stride;
    int r2 = r1 + stride;
    int r3 = r2 + stride;
    for (int j = 0; j < width; j++) {
      double low = (double) x[at + j] + x[r1 + j];
      double high = (double) x[r2 + j] + x[r3 + j];
      sums[sumsAt + j] += low + high;
    }
  }
}
