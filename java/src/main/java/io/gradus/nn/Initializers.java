package io.gradus.nn;

import io.gradus.backend.ScalarMath;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;

/**
 * Fills parameters with their first values, in place. Random ones draw from this thread's {@link
 * Generator} unless one is given.
 *
 * <p>The fans of a weight follow its layout: [out, in] has fan-in {@code in} and fan-out {@code
 * out}; [out, kh, kw, in] has {@code kh kw in} and {@code kh kw out}.
 *
 * <pre>{@code
 * Initializers.kaimingNormal(weight, Fan.IN, Initializers.GAIN_RELU);
 * }</pre>
 */
public final class Initializers {
  /** Gain of linear layers, sigmoid and softmax. */
  public static final double GAIN_LINEAR = 1;

  /** Gain before ReLU: the root of 2. */
  public static final double GAIN_RELU = Math.sqrt(2);

  /** Gain before tanh: 5/3. */
  public static final double GAIN_TANH = 5.0 / 3;

  private static final double NEGLIGIBLE = 1e-12;

  private Initializers() {}

  /** Which fan a variance is scaled by. */
  public enum Fan {
    /** Inputs of an output: keeps the variance of activations. */
    IN,
    /** Outputs of an input: keeps the variance of gradients. */
    OUT
  }

  /** Gain before leaky ReLU: the root of 2 / (1 + slope^2). Source: He et al., ICCV 2015. */
  public static double gainLeakyRelu(double slope) {
    return Math.sqrt(2 / (1 + slope * slope));
  }

  /**
   * How many inputs an output has, or outputs an input.
   *
   * @throws ShapeException when the shape has fewer than two axes
   */
  public static long fan(Shape shape, Fan fan) {
    Checks.shape(
        shape.rank() >= 2,
        "[initializer] fans need a weight [out, in] or [out, kh, kw, in], not %s",
        shape);
    long receptive = shape.product(1, shape.rank() - 1);
    return receptive * shape.dim(fan == Fan.IN ? -1 : 0);
  }

  /**
   * Sets every element to a value.
   *
   * @return the tensor
   */
  public static Tensor constant(Tensor t, double value) {
    try (GradMode.Guard g = GradMode.noGrad()) {
      return t.fill(value);
    }
  }

  /**
   * Sets every element to 0.
   *
   * @return the tensor
   */
  public static Tensor zeros(Tensor t) {
    return constant(t, 0);
  }

  /**
   * Sets every element to 1.
   *
   * @return the tensor
   */
  public static Tensor ones(Tensor t) {
    return constant(t, 1);
  }

  /** {@link #uniform(Tensor, double, double, Generator)} from this thread's generator. */
  public static Tensor uniform(Tensor t, double low, double high) {
    return uniform(t, low, high, Generator.current());
  }

  /**
   * Uniform numbers on [low, high).
   *
   * @return the tensor
   * @throws ArgumentException when low exceeds high
   */
  public static Tensor uniform(Tensor t, double low, double high, Generator generator) {
    Checks.argument(low <= high, "[initializer] low %s exceeds high %s", low, high);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      return t.copyFrom(generator.uniform(t.device(), t.dtype(), t.shape(), low, high));
    }
  }

  /** {@link #normal(Tensor, double, double, Generator)} from this thread's generator. */
  public static Tensor normal(Tensor t, double mean, double deviation) {
    return normal(t, mean, deviation, Generator.current());
  }

  /**
   * Normal numbers.
   *
   * @return the tensor
   * @throws ArgumentException when the deviation is negative
   */
  public static Tensor normal(Tensor t, double mean, double deviation, Generator generator) {
    checkDeviation(deviation);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      return t.copyFrom(generator.normal(t.device(), t.dtype(), t.shape(), mean, deviation));
    }
  }

  private static void checkDeviation(double deviation) {
    Checks.argument(deviation >= 0, "[initializer] standard deviation %s must be >= 0", deviation);
  }

  /** {@link #xavierUniform(Tensor, double, Generator)} from this thread's generator. */
  public static Tensor xavierUniform(Tensor t, double gain) {
    return xavierUniform(t, gain, Generator.current());
  }

  /**
   * Uniform on [-a, a] with a = gain sqrt(6 / (fanIn + fanOut)).
   *
   * <p>Source: Glorot, Bengio, AISTATS 2010.
   *
   * @return the tensor
   * @throws ShapeException when the tensor has fewer than two axes
   */
  public static Tensor xavierUniform(Tensor t, double gain, Generator generator) {
    double bound = xavierDeviation(t, gain) * Math.sqrt(3);
    return uniform(t, -bound, bound, generator);
  }

  /** {@link #xavierNormal(Tensor, double, Generator)} from this thread's generator. */
  public static Tensor xavierNormal(Tensor t, double gain) {
    return xavierNormal(t, gain, Generator.current());
  }

  /**
   * Normal with deviation gain sqrt(2 / (fanIn + fanOut)).
   *
   * <p>Source: Glorot, Bengio, AISTATS 2010.
   *
   * @return the tensor
   * @throws ShapeException when the tensor has fewer than two axes
   */
  public static Tensor xavierNormal(Tensor t, double gain, Generator generator) {
    return normal(t, 0, xavierDeviation(t, gain), generator);
  }

  private static double xavierDeviation(Tensor t, double gain) {
    long fans = fan(t.shape(), Fan.IN) + fan(t.shape(), Fan.OUT);
    return gain * Math.sqrt(2.0 / Math.max(1, fans));
  }

  /** {@link #kaimingUniform(Tensor, Fan, double, Generator)} from this thread's generator. */
  public static Tensor kaimingUniform(Tensor t, Fan fan, double gain) {
    return kaimingUniform(t, fan, gain, Generator.current());
  }

  /**
   * Uniform on [-a, a] with a = gain sqrt(3 / fan).
   *
   * <p>Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.
   *
   * @param t weight, filled
   * @param fan which fan
   * @param gain such as {@link #GAIN_RELU}, by the activation that follows
   * @param generator where to draw from
   * @return the tensor
   * @throws ShapeException when the tensor has fewer than two axes
   */
  public static Tensor kaimingUniform(Tensor t, Fan fan, double gain, Generator generator) {
    double bound = kaimingDeviation(t, fan, gain) * Math.sqrt(3);
    return uniform(t, -bound, bound, generator);
  }

  /** {@link #kaimingNormal(Tensor, Fan, double, Generator)} from this thread's generator. */
  public static Tensor kaimingNormal(Tensor t, Fan fan, double gain) {
    return kaimingNormal(t, fan, gain, Generator.current());
  }

  /**
   * Normal with deviation gain / sqrt(fan).
   *
   * <p>Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.
   *
   * @param t weight, filled
   * @param fan which fan
   * @param gain such as {@link #GAIN_RELU}, by the activation that follows
   * @param generator where to draw from
   * @return the tensor
   * @throws ShapeException when the tensor has fewer than two axes
   */
  public static Tensor kaimingNormal(Tensor t, Fan fan, double gain, Generator generator) {
    return normal(t, 0, kaimingDeviation(t, fan, gain), generator);
  }

  private static double kaimingDeviation(Tensor t, Fan fan, double gain) {
    return gain / Math.sqrt((double) Math.max(1, fan(t.shape(), fan)));
  }

  /** {@link #orthogonal(Tensor, double, Generator)} from this thread's generator. */
  public static Tensor orthogonal(Tensor t, double gain) {
    return orthogonal(t, gain, Generator.current());
  }

  /**
   * gain times a matrix [out, rest] whose rows are orthonormal, or its columns where there are
   * fewer of them: uniform among such matrices. Computed on the host in double precision.
   *
   * <p>Source: Saxe, McClelland, Ganguli, ICLR 2014; the factorisation is a modified Gram-Schmidt
   * process run twice (Giraud et al., 2005).
   *
   * @return the tensor
   * @throws ShapeException when the tensor has fewer than two axes
   */
  public static Tensor orthogonal(Tensor t, double gain, Generator generator) {
    Shape shape = t.shape();
    Checks.shape(
        shape.rank() >= 2, "[initializer] orthogonal needs at least two axes, not %s", shape);
    int rows = Math.toIntExact(shape.dim(0));
    int cols = Math.toIntExact(shape.product(1, shape.rank()));
    boolean wide = rows <= cols;
    int vectors = Math.min(rows, cols);
    int length = Math.max(rows, cols);
    double[] numbers = hostNormals(generator, (long) vectors * length);
    double[][] basis = new double[vectors][length];
    for (int i = 0; i < vectors; i++) {
      System.arraycopy(numbers, i * length, basis[i], 0, length);
      orthonormalise(basis, i);
    }
    double[] out = new double[rows * cols];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cols; c++) {
        out[r * cols + c] = gain * (wide ? basis[r][c] : basis[c][r]);
      }
    }
    return write(t, out);
  }

  private static double[] hostNormals(Generator generator, long n) {
    try (Scope s = Scope.open()) {
      return generator.normal(Device.cpu(), DType.FLOAT64, Shape.of(n), 0, 1).toDoubles();
    }
  }

  private static Tensor write(Tensor t, double[] values) {
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      return t.copyFrom(Tensor.of(values).reshape(t.shape().dims()));
    }
  }

  /** Makes vector i orthogonal to those before it and of length 1. */
  private static void orthonormalise(double[][] basis, int i) {
    double[] v = basis[i];
    // Once leaves an error that grows with the condition of the matrix; twice is enough.
    for (int pass = 0; pass < 2; pass++) {
      for (int j = 0; j < i; j++) {
        double[] u = basis[j];
        double along = dot(u, v);
        for (int k = 0; k < v.length; k++) {
          v[k] -= along * u[k];
        }
      }
    }
    double norm = Math.sqrt(dot(v, v));
    for (int k = 0; k < v.length; k++) {
      v[k] /= norm;
    }
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  /**
   * {@link #truncatedNormal(Tensor, double, double, double, double, Generator)} from this thread's
   * generator.
   */
  public static Tensor truncatedNormal(
      Tensor t, double mean, double deviation, double low, double high) {
    return truncatedNormal(t, mean, deviation, low, high, Generator.current());
  }

  /**
   * Normal numbers restricted to [low, high], by the inverse of the distribution function on the
   * host: one draw per element whatever the bounds.
   *
   * <p>Source: Wichura, Algorithm AS 241, Applied Statistics 37, 1988, for the inverse.
   *
   * @param t filled
   * @param mean mean before truncation
   * @param deviation standard deviation before truncation
   * @param low least value
   * @param high greatest value
   * @param generator where to draw from
   * @return the tensor
   * @throws ArgumentException when the deviation is not positive, or less than 1e-12 of the
   *     distribution lies between the bounds
   */
  public static Tensor truncatedNormal(
      Tensor t, double mean, double deviation, double low, double high, Generator generator) {
    Checks.argument(
        deviation > 0, "[initializer] standard deviation %s must be positive", deviation);
    double from = cumulative((low - mean) / deviation);
    double to = cumulative((high - mean) / deviation);
    Checks.argument(
        to - from >= NEGLIGIBLE,
        "[initializer] nearly nothing of normal(%s, %s) lies in [%s, %s]: move the bounds",
        mean,
        deviation,
        low,
        high);
    double[] values;
    try (Scope s = Scope.open()) {
      values =
          generator.uniform(Device.cpu(), DType.FLOAT64, Shape.of(t.numel()), 0, 1).toDoubles();
    }
    for (int i = 0; i < values.length; i++) {
      // Kept off 0 and 1, where the quantiles are infinite.
      double p = Math.min(Math.max(from + (to - from) * values[i], 1e-300), 1 - 0x1p-53);
      double x = mean + deviation * NormalQuantile.of(p);
      values[i] = Math.min(high, Math.max(low, x));
    }
    return write(t, values);
  }

  private static double cumulative(double x) {
    return 0.5 * (1 + ScalarMath.erf(x / Math.sqrt(2)));
  }
}
