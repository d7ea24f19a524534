package io.gradus.backend;

import java.util.function.DoubleUnaryOperator;
import java.util.function.LongUnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Element-wise functions of one tensor. Each constant carries its scalar meaning in float32, in
 * float64 and, where it makes sense, on integers; the ordinal is the opcode of the C ABI, so new
 * constants go to the end. Derivatives are tensor expressions and stand in {@code
 * io.gradus.tensor.Derivatives}.
 */
public enum UnaryOp {
  /** -x. */
  NEG(x -> -x, x -> -x, x -> -x),
  /** |x|. */
  ABS(Math::abs, Math::abs, Math::abs),
  /** -1, 0 or 1 by the sign of x. */
  SIGN(Math::signum, Math::signum, Long::signum),
  /** e^x. */
  EXP(x -> (float) Math.exp(x), Math::exp, null),
  /** e^x - 1, exact near 0. */
  EXPM1(x -> (float) Math.expm1(x), Math::expm1, null),
  /** Natural logarithm. */
  LOG(x -> (float) Math.log(x), Math::log, null),
  /** log(1 + x), exact near 0. */
  LOG1P(x -> (float) Math.log1p(x), Math::log1p, null),
  /** Square root. */
  SQRT(x -> (float) Math.sqrt(x), Math::sqrt, null),
  /** 1 / sqrt(x). */
  RSQRT(x -> (float) (1 / Math.sqrt(x)), x -> 1 / Math.sqrt(x), null),
  /** 1 / x. */
  RECIPROCAL(x -> 1 / x, x -> 1 / x, null),
  /** Sine of an angle in radians. */
  SIN(x -> (float) Math.sin(x), Math::sin, null),
  /** Cosine of an angle in radians. */
  COS(x -> (float) Math.cos(x), Math::cos, null),
  /** The error function. */
  ERF(x -> (float) ScalarMath.erf(x), ScalarMath::erf, null),
  /** 1 / (1 + e^-x). */
  SIGMOID(x -> (float) ScalarMath.sigmoid(x), ScalarMath::sigmoid, null),
  /** Hyperbolic tangent. */
  TANH(x -> (float) Math.tanh(x), Math::tanh, null),
  /** max(x, 0). */
  RELU(x -> Math.max(x, 0f), x -> Math.max(x, 0), x -> Math.max(x, 0)),
  /** x Phi(x), Phi the normal distribution function. */
  GELU(x -> (float) ScalarMath.gelu(x), ScalarMath::gelu, null),
  /** The tanh approximation of GELU. */
  GELU_TANH(x -> (float) ScalarMath.geluTanh(x), ScalarMath::geluTanh, null),
  /** x sigmoid(x). */
  SILU(x -> (float) (x * ScalarMath.sigmoid(x)), x -> x * ScalarMath.sigmoid(x), null),
  /** log(1 + e^x). */
  SOFTPLUS(x -> (float) ScalarMath.softplus(x), ScalarMath::softplus, null),
  /** The largest integer not above x. */
  FLOOR(x -> (float) Math.floor(x), Math::floor, x -> x),
  /** The smallest integer not below x. */
  CEIL(x -> (float) Math.ceil(x), Math::ceil, x -> x),
  /** The nearest integer, ties to even. */
  ROUND(x -> (float) Math.rint(x), Math::rint, x -> x),
  /** 0 where x &lt;= 0, else 1, also for NaN: the derivative of RELU. */
  STEP(ScalarMath::step, x -> x <= 0 ? 0 : 1, x -> x > 0 ? 1 : 0);

  private final FloatUnary onFloat;
  private final DoubleUnaryOperator onDouble;
  private final @Nullable LongUnaryOperator onLong;

  UnaryOp(FloatUnary onFloat, DoubleUnaryOperator onDouble, @Nullable LongUnaryOperator onLong) {
    this.onFloat = onFloat;
    this.onDouble = onDouble;
    this.onLong = onLong;
  }

  /** The function in float32. */
  public FloatUnary onFloat() {
    return onFloat;
  }

  /** The function in float64; the 16-bit types round its value. */
  public DoubleUnaryOperator onDouble() {
    return onDouble;
  }

  /** The function on integers, or null where it is defined on floating types alone. */
  public @Nullable LongUnaryOperator onLong() {
    return onLong;
  }
}
