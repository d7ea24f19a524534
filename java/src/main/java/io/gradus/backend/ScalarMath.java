package io.gradus.backend;

/** Scalar functions that {@link Math} lacks, in float64. */
public final class ScalarMath {
  private static final double TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);
  private static final double SQRT_HALF = Math.sqrt(0.5);
  private static final double SQRT_TWO_OVER_PI = Math.sqrt(2 / Math.PI);

  private static final int ONE_BITS = Float.floatToRawIntBits(1f);

  /** Beyond this erf is 1 in float64. */
  private static final double ERF_LIMIT = 6;

  private static final int ERF_CELLS_PER_UNIT = 16;
  private static final int ERF_TERMS = 12;
  private static final double[] ERF_TABLE = erfTable();

  private ScalarMath() {}

  /**
   * The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x; absolute error
   * below 1e-15, relative error below 1e-14.
   *
   * <p>Taylor expansion about the nearest multiple of 1/16, whose coefficients follow from the
   * recurrence of the derivatives of exp(-x^2): g'' = -2 x g' - 2 n g.
   */
  public static double erf(double x) {
    double a = Math.abs(x);
    if (!(a < ERF_LIMIT)) {
      return Double.isNaN(x) ? x : Math.signum(x);
    }
    int cell = (int) (a * ERF_CELLS_PER_UNIT + 0.5);
    double h = a - (double) cell / ERF_CELLS_PER_UNIT;
    int base = cell * ERF_TERMS;
    double sum = ERF_TABLE[base + ERF_TERMS - 1];
    for (int i = ERF_TERMS - 2; i >= 0; i--) {
      sum = sum * h + ERF_TABLE[base + i];
    }
    return Math.copySign(sum, x);
  }

  private static double[] erfTable() {
    int cells = (int) (ERF_LIMIT * ERF_CELLS_PER_UNIT) + 1;
    double[] table = new double[cells * ERF_TERMS];
    for (int cell = 0; cell < cells; cell++) {
      double x = (double) cell / ERF_CELLS_PER_UNIT;
      int base = cell * ERF_TERMS;
      table[base] = erfSeries(x);
      double previous = 0;
      double derivative = TWO_OVER_SQRT_PI * Math.exp(-x * x);
      double factorial = 1;
      for (int n = 1; n < ERF_TERMS; n++) {
        factorial *= n;
        table[base + n] = derivative / factorial;
        double next = -2 * x * derivative - 2 * (n - 1) * previous;
        previous = derivative;
        derivative = next;
      }
    }
    return table;
  }

  /** erf(x) = 2/sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (2n+1)!!: all terms positive. */
  private static double erfSeries(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; term > sum * 1e-18; n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return TWO_OVER_SQRT_PI * Math.exp(-x * x) * sum;
  }

  /**
   * 0 where x &lt;= 0, else 1, also for NaN. Without a branch, which would be mispredicted and keep
   * the loop from being vectorised: minus the bits of a number is negative but for 0.
   */
  public static float step(float x) {
    int positive = -Float.floatToRawIntBits(Math.max(x, 0f)) >> 31;
    return Float.intBitsToFloat(positive & ONE_BITS);
  }

  /** 1 / (1 + e^-x) without overflow. */
  public static double sigmoid(double x) {
    if (x >= 0) {
      return 1 / (1 + Math.exp(-x));
    }
    double e = Math.exp(x);
    return e / (1 + e);
  }

  /** log(1 + e^x) without overflow. */
  public static double softplus(double x) {
    return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  }

  /** x Phi(x). */
  public static double gelu(double x) {
    return 0.5 * x * (1 + erf(x * SQRT_HALF));
  }

  /** x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
  public static double geluTanh(double x) {
    return 0.5 * x * (1 + Math.tanh(SQRT_TWO_OVER_PI * (x + 0.044715 * x * x * x)));
  }
}
