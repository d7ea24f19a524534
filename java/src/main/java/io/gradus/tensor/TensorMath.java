package io.gradus.tensor;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.CompareOp;
import io.gradus.backend.UnaryOp;
import io.gradus.core.Checks;
import io.gradus.core.DType;

/**
 * Element-wise methods of {@link Tensor}; its class description has the rules of shapes and types.
 */
sealed interface TensorMath permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  private Tensor unary(UnaryOp op) {
    return Elementwise.unary(op, self());
  }

  private Tensor binary(BinaryOp op, double value) {
    try (Scope s = Scope.open()) {
      return s.keep(Elementwise.binary(op, self(), Elementwise.number(self(), value)));
    }
  }

  private Tensor compare(CompareOp op, double value) {
    try (Scope s = Scope.open()) {
      return s.keep(Elementwise.compare(op, self(), Elementwise.number(self(), value)));
    }
  }

  /**
   * The sum {@code this + other}.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [C] -> [N, C]}
   *
   * <pre>{@code
   * Tensor column = Tensor.of(new float[] {1, 2}, 2, 1);
   * Tensor row = Tensor.of(new float[] {10, 20, 30});
   * column.add(row);   // [[11, 21, 31], [12, 22, 32]]
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DTypeException when both are BOOL
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor add(Tensor other) {
    return Elementwise.binary(BinaryOp.ADD, self(), other);
  }

  /** As {@link #add(Tensor)} with a number. */
  default Tensor add(double value) {
    return binary(BinaryOp.ADD, value);
  }

  /**
   * The difference {@code this - other}.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [C] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DTypeException when both are BOOL
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor sub(Tensor other) {
    return Elementwise.binary(BinaryOp.SUB, self(), other);
  }

  /** As {@link #sub(Tensor)} with a number. */
  default Tensor sub(double value) {
    return binary(BinaryOp.SUB, value);
  }

  /**
   * The difference {@code value - this}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <pre>{@code
   * Tensor q = p.rsub(1);   // 1 - p
   * }</pre>
   */
  default Tensor rsub(double value) {
    try (Scope s = Scope.open()) {
      return s.keep(Elementwise.binary(BinaryOp.SUB, Elementwise.number(self(), value), self()));
    }
  }

  /**
   * The product {@code this other}, element by element; of two BOOL tensors, and.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor mul(Tensor other) {
    return Elementwise.binary(BinaryOp.MUL, self(), other);
  }

  /** As {@link #mul(Tensor)} with a number. */
  default Tensor mul(double value) {
    return binary(BinaryOp.MUL, value);
  }

  /**
   * The quotient {@code this / other}; of integers it is rounded toward minus infinity, and 0 where
   * other is 0.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DTypeException when both are BOOL
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor div(Tensor other) {
    return Elementwise.binary(BinaryOp.DIV, self(), other);
  }

  /** As {@link #div(Tensor)} with a number: integers by a whole number stay integers. */
  default Tensor div(double value) {
    return binary(BinaryOp.DIV, value);
  }

  /**
   * The power {@code this^other}; of integers it is truncated toward zero.
   *
   * <p>With base a and exponent b the gradients are {@code b a^(b - 1)}, 0 where b is 0, and {@code
   * a^b log(a)}, 0 where a is 0 and b is not negative.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [C] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DTypeException when both are BOOL
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor pow(Tensor other) {
    return Elementwise.binary(BinaryOp.POW, Precision.wide(self()), Precision.wide(other));
  }

  /** As {@link #pow(Tensor)} with a number; 2 is computed as {@link #square()}. */
  default Tensor pow(double exponent) {
    try (Scope s = Scope.open()) {
      Tensor x = Precision.wide(self());
      return s.keep(
          exponent == 2
              ? x.square()
              : Elementwise.binary(BinaryOp.POW, x, Elementwise.number(x, exponent)));
    }
  }

  /**
   * The larger of two, NaN where either is; of two BOOL tensors, or.
   *
   * <p>The gradient goes to the larger, and half to each where they are equal.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [C] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor maximum(Tensor other) {
    return Elementwise.binary(BinaryOp.MAX, self(), other);
  }

  /**
   * The smaller of two, NaN where either is; of two BOOL tensors, and.
   *
   * <p>The gradient goes to the smaller, and half to each where they are equal.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [C] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor minimum(Tensor other) {
    return Elementwise.binary(BinaryOp.MIN, self(), other);
  }

  /**
   * Limits to {@code [low, high]}; NaN stays.
   *
   * <p>The gradient is 1 from low to high, both included, and 0 outside.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <pre>{@code
   * Tensor.of(new float[] {-2, 0.5f, 7}).clamp(0, 1);   // [0, 0.5, 1]
   * }</pre>
   *
   * @throws io.gradus.core.ArgumentException when low exceeds high or one of them is NaN
   */
  default Tensor clamp(double low, double high) {
    Checks.argument(low <= high, "[clamp] low %s exceeds high %s", low, high);
    try (Scope s = Scope.open()) {
      Tensor x = self();
      Tensor inside =
          Elementwise.compare(CompareOp.GE, x, Elementwise.number(x, low))
              .minimum(Elementwise.compare(CompareOp.LE, x, Elementwise.number(x, high)));
      // Selecting rather than min and max: at a bound the whole gradient passes, as in PyTorch.
      Tensor bounds =
          Tensor.where(x.detach().lt(low), Elementwise.number(x, low), Elementwise.number(x, high));
      Tensor limited = Tensor.where(inside, x, bounds);
      return s.keep(Tensor.where(x.detach().ne(x.detach()), x, limited));
    }
  }

  /**
   * The square {@code x^2}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor square() {
    return mul(self());
  }

  /**
   * The negative {@code -x}, also of integers.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor neg() {
    return unary(UnaryOp.NEG);
  }

  /**
   * The absolute value, also of integers; the gradient is the {@link #sign()}, at 0 it is 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor abs() {
    return unary(UnaryOp.ABS);
  }

  /**
   * -1, 0 or 1 by the sign, also of integers; the gradient is 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor sign() {
    return unary(UnaryOp.SIGN);
  }

  /**
   * The exponential {@code e^x}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor exp() {
    return unary(UnaryOp.EXP);
  }

  /**
   * {@code e^x - 1}, exact near 0, where the difference would cancel.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor expm1() {
    return unary(UnaryOp.EXPM1);
  }

  /**
   * The natural logarithm: minus infinity of 0, NaN below; the gradient is {@code 1 / x}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor log() {
    return unary(UnaryOp.LOG);
  }

  /**
   * {@code log(1 + x)}, exact near 0, where the sum would round.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor log1p() {
    return unary(UnaryOp.LOG1P);
  }

  /**
   * The square root, NaN below 0; the gradient {@code 1 / (2 sqrt(x))} is infinite at 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor sqrt() {
    return unary(UnaryOp.SQRT);
  }

  /**
   * {@code 1 / sqrt(x)}; the gradient is {@code -x^(-3/2) / 2}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor rsqrt() {
    return unary(UnaryOp.RSQRT);
  }

  /**
   * {@code 1 / x}; the gradient is {@code -1 / x^2}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor reciprocal() {
    return unary(UnaryOp.RECIPROCAL);
  }

  /**
   * The sine of an angle in radians.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor sin() {
    return unary(UnaryOp.SIN);
  }

  /**
   * The cosine of an angle in radians.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor cos() {
    return unary(UnaryOp.COS);
  }

  /**
   * The error function {@code 2 / sqrt(pi) integral of exp(-t^2) for t from 0 to x}; the gradient
   * is {@code 2 / sqrt(pi) exp(-x^2)}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Abramowitz, Stegun, "Handbook of mathematical functions", 1964, section 7.1.
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor erf() {
    return unary(UnaryOp.ERF);
  }

  /**
   * The logistic function {@code s = 1 / (1 + e^-x)}; the gradient is {@code s (1 - s)}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors",
   * Nature 323, 1986.
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor sigmoid() {
    return unary(UnaryOp.SIGMOID);
  }

  /**
   * The hyperbolic tangent; the gradient is {@code 1 - tanh(x)^2}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Abramowitz, Stegun, "Handbook of mathematical functions", 1964, section 4.5.
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor tanh() {
    return unary(UnaryOp.TANH);
  }

  /**
   * The rectifier {@code max(x, 0)}, also of integers; NaN stays, and the gradient at 0 is 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Nair, Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML
   * 2010.
   */
  default Tensor relu() {
    return unary(UnaryOp.RELU);
  }

  /**
   * 0 where {@code x <= 0}, else 1, also for NaN and of integers; the gradient is 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor step() {
    return unary(UnaryOp.STEP);
  }

  /**
   * {@code x} where {@code x > 0}, else {@code slope x}; the gradient at 0 is the slope.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models",
   * ICML 2013.
   *
   * @param slope factor of negative values; 0.01 is usual
   */
  default Tensor leakyRelu(double slope) {
    try (Scope s = Scope.open()) {
      return s.keep(Tensor.where(self().detach().gt(0), self(), mul(slope)));
    }
  }

  /**
   * {@code x} where {@code x > 0}, else {@code alpha (e^x - 1)}; the gradient at 0 is alpha.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by
   * exponential linear units (ELUs)", ICLR 2016.
   *
   * @param alpha minus the limit at minus infinity; 1 is usual
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor elu(double alpha) {
    // As the other activations it keeps its type, although an exponential does not.
    try (Scope s = Scope.open();
        Precision.Guard g = Precision.suspend()) {
      Tensor positive = self().detach().gt(0);
      // The exponential of the negative values alone: an overflow would make the gradient NaN.
      Tensor negative = Tensor.where(positive, Elementwise.number(self(), 0), self());
      return s.keep(Tensor.where(positive, self(), negative.expm1().mul(alpha)));
    }
  }

  /**
   * The Gaussian error linear unit {@code x Phi(x) = x / 2 (1 + erf(x / sqrt(2)))}; with the normal
   * density phi the gradient is {@code Phi(x) + x phi(x)}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Hendrycks, Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415.
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor gelu() {
    return unary(UnaryOp.GELU);
  }

  /**
   * The approximation {@code x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))} of {@link #gelu()}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Hendrycks, Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415.
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor geluTanh() {
    return unary(UnaryOp.GELU_TANH);
  }

  /**
   * {@code x s} with {@code s = sigmoid(x)}, also called swish; the gradient is {@code s (1 + x (1
   * - s))}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units for neural network function
   * approximation in reinforcement learning", arXiv:1702.03118.
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor silu() {
    return unary(UnaryOp.SILU);
  }

  /**
   * {@code log(1 + e^x)} without overflow; the gradient is {@link #sigmoid()}.
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * <p>Source: Dugas, Bengio, Belisle, Nadeau, Garcia, "Incorporating second-order functional
   * knowledge for better option pricing", NIPS 13, 2001.
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   */
  default Tensor softplus() {
    return unary(UnaryOp.SOFTPLUS);
  }

  /**
   * The largest integer not above x, in the type of x; the gradient is 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor floor() {
    return unary(UnaryOp.FLOOR);
  }

  /**
   * The smallest integer not below x, in the type of x; the gradient is 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor ceil() {
    return unary(UnaryOp.CEIL);
  }

  /**
   * The nearest integer, ties to even, in the type of x; the gradient is 0.
   *
   * <p>Shapes: {@code [..] -> [..]}
   */
  default Tensor round() {
    return unary(UnaryOp.ROUND);
  }

  /**
   * Whether {@code this = other}, as BOOL; NaN equals nothing.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * <pre>{@code
   * double accuracy = logits.argmax(-1).eq(labels).to(DType.FLOAT32).mean().item();
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor eq(Tensor other) {
    return Elementwise.compare(CompareOp.EQ, self(), other);
  }

  /** As {@link #eq(Tensor)} with a number. */
  default Tensor eq(double value) {
    return compare(CompareOp.EQ, value);
  }

  /**
   * Whether this and other differ, as BOOL; NaN differs from everything, also itself.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor ne(Tensor other) {
    return Elementwise.compare(CompareOp.NE, self(), other);
  }

  /** As {@link #ne(Tensor)} with a number. */
  default Tensor ne(double value) {
    return compare(CompareOp.NE, value);
  }

  /**
   * Whether {@code this < other}, as BOOL; false where either is NaN.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor lt(Tensor other) {
    return Elementwise.compare(CompareOp.LT, self(), other);
  }

  /** As {@link #lt(Tensor)} with a number. */
  default Tensor lt(double value) {
    return compare(CompareOp.LT, value);
  }

  /**
   * Whether {@code this <= other}, as BOOL; false where either is NaN.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor le(Tensor other) {
    return Elementwise.compare(CompareOp.LE, self(), other);
  }

  /** As {@link #le(Tensor)} with a number. */
  default Tensor le(double value) {
    return compare(CompareOp.LE, value);
  }

  /**
   * Whether {@code this > other}, as BOOL; false where either is NaN.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor gt(Tensor other) {
    return Elementwise.compare(CompareOp.GT, self(), other);
  }

  /** As {@link #gt(Tensor)} with a number. */
  default Tensor gt(double value) {
    return compare(CompareOp.GT, value);
  }

  /**
   * Whether {@code this >= other}, as BOOL; false where either is NaN.
   *
   * <p>Shapes: broadcast, as {@code [N, C], [N, 1] -> [N, C]}
   *
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor ge(Tensor other) {
    return Elementwise.compare(CompareOp.GE, self(), other);
  }

  /** As {@link #ge(Tensor)} with a number. */
  default Tensor ge(double value) {
    return compare(CompareOp.GE, value);
  }

  /**
   * True where this is false. ({@link #minimum} is and, {@link #maximum} is or.)
   *
   * <p>Shapes: {@code [..] -> [..]}
   *
   * @throws io.gradus.core.DTypeException when the type is not BOOL
   */
  default Tensor not() {
    Checks.dtype(self().dtype() == DType.BOOL, "[not] needs BOOL, not %s", self().dtype());
    return compare(CompareOp.EQ, 0);
  }

  /**
   * {@code value} where the mask is true, else this; the gradient is 0 under the mask.
   *
   * <p>Shapes: broadcast, as {@code this: [B, H, T, T], mask: [T, T] -> [B, H, T, T]}
   *
   * <pre>{@code
   * Tensor weights = Softmax.softmax(scores.maskedFill(future, Double.NEGATIVE_INFINITY), -1);
   * }</pre>
   *
   * @param mask BOOL
   * @throws io.gradus.core.ShapeException when the shapes do not broadcast
   * @throws io.gradus.core.DTypeException when the mask is not BOOL
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  default Tensor maskedFill(Tensor mask, double value) {
    try (Scope s = Scope.open()) {
      return s.keep(Tensor.where(mask, Elementwise.number(self(), value), self()));
    }
  }
}
