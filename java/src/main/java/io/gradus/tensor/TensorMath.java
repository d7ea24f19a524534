package io.gradus.tensor;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.CompareOp;
import io.gradus.backend.UnaryOp;
import io.gradus.core.Checks;
import io.gradus.core.DType;

/**
 * Element-wise methods of {@link Tensor}. Two tensors broadcast by NumPy's rule and meet in the
 * higher of their types; a number takes the tensor's type, except that a fraction lifts integers to
 * float32. Functions such as exp need a floating type.
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

  /** this + other. Shapes: broadcast. */
  default Tensor add(Tensor other) {
    return Elementwise.binary(BinaryOp.ADD, self(), other);
  }

  /** this + value. */
  default Tensor add(double value) {
    return binary(BinaryOp.ADD, value);
  }

  /** this - other. Shapes: broadcast. */
  default Tensor sub(Tensor other) {
    return Elementwise.binary(BinaryOp.SUB, self(), other);
  }

  /** this - value. */
  default Tensor sub(double value) {
    return binary(BinaryOp.SUB, value);
  }

  /** value - this. */
  default Tensor rsub(double value) {
    try (Scope s = Scope.open()) {
      return s.keep(Elementwise.binary(BinaryOp.SUB, Elementwise.number(self(), value), self()));
    }
  }

  /** this times other. Shapes: broadcast. */
  default Tensor mul(Tensor other) {
    return Elementwise.binary(BinaryOp.MUL, self(), other);
  }

  /** this times value. */
  default Tensor mul(double value) {
    return binary(BinaryOp.MUL, value);
  }

  /** this / other; integers round toward minus infinity. Shapes: broadcast. */
  default Tensor div(Tensor other) {
    return Elementwise.binary(BinaryOp.DIV, self(), other);
  }

  /** this / value. */
  default Tensor div(double value) {
    return binary(BinaryOp.DIV, value);
  }

  /** this to the power of other. Shapes: broadcast. */
  default Tensor pow(Tensor other) {
    return Elementwise.binary(BinaryOp.POW, self(), other);
  }

  /** this to the power of a number; 2 is a product. */
  default Tensor pow(double exponent) {
    return exponent == 2 ? square() : binary(BinaryOp.POW, exponent);
  }

  /** The larger of two; the gradient is shared where they are equal. Shapes: broadcast. */
  default Tensor maximum(Tensor other) {
    return Elementwise.binary(BinaryOp.MAX, self(), other);
  }

  /** The smaller of two; the gradient is shared where they are equal. Shapes: broadcast. */
  default Tensor minimum(Tensor other) {
    return Elementwise.binary(BinaryOp.MIN, self(), other);
  }

  /**
   * Limits to [low, high]; the gradient is 0 outside.
   *
   * @throws io.gradus.core.ArgumentException when low exceeds high
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

  /** this this. */
  default Tensor square() {
    return mul(self());
  }

  /** -this. */
  default Tensor neg() {
    return unary(UnaryOp.NEG);
  }

  /** Absolute value; the gradient at 0 is 0. */
  default Tensor abs() {
    return unary(UnaryOp.ABS);
  }

  /** -1, 0 or 1; no gradient. */
  default Tensor sign() {
    return unary(UnaryOp.SIGN);
  }

  /** e^x. */
  default Tensor exp() {
    return unary(UnaryOp.EXP);
  }

  /** e^x - 1, exact near 0. */
  default Tensor expm1() {
    return unary(UnaryOp.EXPM1);
  }

  /** Natural logarithm. */
  default Tensor log() {
    return unary(UnaryOp.LOG);
  }

  /** log(1 + x), exact near 0. */
  default Tensor log1p() {
    return unary(UnaryOp.LOG1P);
  }

  /** Square root. */
  default Tensor sqrt() {
    return unary(UnaryOp.SQRT);
  }

  /** 1 / sqrt(x). */
  default Tensor rsqrt() {
    return unary(UnaryOp.RSQRT);
  }

  /** 1 / x. */
  default Tensor reciprocal() {
    return unary(UnaryOp.RECIPROCAL);
  }

  /** Sine of radians. */
  default Tensor sin() {
    return unary(UnaryOp.SIN);
  }

  /** Cosine of radians. */
  default Tensor cos() {
    return unary(UnaryOp.COS);
  }

  /** The error function. */
  default Tensor erf() {
    return unary(UnaryOp.ERF);
  }

  /** 1 / (1 + e^-x). */
  default Tensor sigmoid() {
    return unary(UnaryOp.SIGMOID);
  }

  /** Hyperbolic tangent. */
  default Tensor tanh() {
    return unary(UnaryOp.TANH);
  }

  /** max(x, 0); the gradient at 0 is 0. */
  default Tensor relu() {
    return unary(UnaryOp.RELU);
  }

  /** 0 where x &lt;= 0, else 1, also for NaN; no gradient. */
  default Tensor step() {
    return unary(UnaryOp.STEP);
  }

  /** x where x > 0, else slope x. Source: Maas, Hannun, Ng, ICML 2013. */
  default Tensor leakyRelu(double slope) {
    try (Scope s = Scope.open()) {
      return s.keep(Tensor.where(self().detach().gt(0), self(), mul(slope)));
    }
  }

  /** x where x > 0, else alpha (e^x - 1). Source: Clevert et al., ICLR 2016. */
  default Tensor elu(double alpha) {
    try (Scope s = Scope.open()) {
      Tensor positive = self().detach().gt(0);
      // The exponential of the negative values alone: an overflow would make the gradient NaN.
      Tensor negative = Tensor.where(positive, Elementwise.number(self(), 0), self());
      return s.keep(Tensor.where(positive, self(), negative.expm1().mul(alpha)));
    }
  }

  /** x Phi(x), by the error function. Source: Hendrycks, Gimpel, arXiv:1606.08415. */
  default Tensor gelu() {
    return unary(UnaryOp.GELU);
  }

  /** The tanh approximation of {@link #gelu()}. */
  default Tensor geluTanh() {
    return unary(UnaryOp.GELU_TANH);
  }

  /** x sigmoid(x). Source: Elfwing, Uchibe, Doya, arXiv:1702.03118. */
  default Tensor silu() {
    return unary(UnaryOp.SILU);
  }

  /** log(1 + e^x). */
  default Tensor softplus() {
    return unary(UnaryOp.SOFTPLUS);
  }

  /** The largest integer not above x; no gradient. */
  default Tensor floor() {
    return unary(UnaryOp.FLOOR);
  }

  /** The smallest integer not below x; no gradient. */
  default Tensor ceil() {
    return unary(UnaryOp.CEIL);
  }

  /** The nearest integer, ties to even; no gradient. */
  default Tensor round() {
    return unary(UnaryOp.ROUND);
  }

  /** this = other, as BOOL. Shapes: broadcast. */
  default Tensor eq(Tensor other) {
    return Elementwise.compare(CompareOp.EQ, self(), other);
  }

  /** this = value, as BOOL. */
  default Tensor eq(double value) {
    return compare(CompareOp.EQ, value);
  }

  /** this differs from other, as BOOL. Shapes: broadcast. */
  default Tensor ne(Tensor other) {
    return Elementwise.compare(CompareOp.NE, self(), other);
  }

  /** this differs from value, as BOOL. */
  default Tensor ne(double value) {
    return compare(CompareOp.NE, value);
  }

  /** this &lt; other, as BOOL. Shapes: broadcast. */
  default Tensor lt(Tensor other) {
    return Elementwise.compare(CompareOp.LT, self(), other);
  }

  /** this &lt; value, as BOOL. */
  default Tensor lt(double value) {
    return compare(CompareOp.LT, value);
  }

  /** this &lt;= other, as BOOL. Shapes: broadcast. */
  default Tensor le(Tensor other) {
    return Elementwise.compare(CompareOp.LE, self(), other);
  }

  /** this &lt;= value, as BOOL. */
  default Tensor le(double value) {
    return compare(CompareOp.LE, value);
  }

  /** this > other, as BOOL. Shapes: broadcast. */
  default Tensor gt(Tensor other) {
    return Elementwise.compare(CompareOp.GT, self(), other);
  }

  /** this > value, as BOOL. */
  default Tensor gt(double value) {
    return compare(CompareOp.GT, value);
  }

  /** this >= other, as BOOL. Shapes: broadcast. */
  default Tensor ge(Tensor other) {
    return Elementwise.compare(CompareOp.GE, self(), other);
  }

  /** this >= value, as BOOL. */
  default Tensor ge(double value) {
    return compare(CompareOp.GE, value);
  }

  /** Negation of a BOOL tensor. */
  default Tensor not() {
    Checks.dtype(self().dtype() == DType.BOOL, "[not] needs BOOL, not %s", self().dtype());
    return compare(CompareOp.EQ, 0);
  }

  /** value where the BOOL mask is true, else this. Shapes: broadcast. */
  default Tensor maskedFill(Tensor mask, double value) {
    try (Scope s = Scope.open()) {
      return s.keep(Tensor.where(mask, Elementwise.number(self(), value), self()));
    }
  }
}
