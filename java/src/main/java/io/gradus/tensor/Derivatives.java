package io.gradus.tensor;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.UnaryOp;
import java.util.function.BinaryOperator;

/**
 * The derivatives of the element-wise functions, as tensor expressions: so they can be
 * differentiated again.
 */
final class Derivatives {
  private static final double TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);
  private static final double SQRT_TWO_OVER_PI = Math.sqrt(2 / Math.PI);
  private static final double CUBIC = 0.044715;
  private static final double GELU_TANH_SATURATED = 20;

  private Derivatives() {}

  /** What backward needs. */
  enum Saved {
    INPUT,
    OUTPUT,
    NOTHING,
    /** The derivative is zero. */
    ZERO
  }

  /**
   * How a gradient passes a function.
   *
   * @param saved what {@code gradient} gets as its second argument
   * @param gradient from the output's gradient and the saved tensor to the input's gradient
   */
  record Rule(Saved saved, BinaryOperator<Tensor> gradient) {}

  private static Rule input(BinaryOperator<Tensor> gradient) {
    return new Rule(Saved.INPUT, gradient);
  }

  private static Rule output(BinaryOperator<Tensor> gradient) {
    return new Rule(Saved.OUTPUT, gradient);
  }

  static Rule of(UnaryOp op) {
    return switch (op) {
      case NEG -> new Rule(Saved.NOTHING, (g, unused) -> g.neg());
      case ABS -> input((g, x) -> g.mul(x.sign()));
      case EXP -> output((g, y) -> g.mul(y));
      case EXPM1 -> output((g, y) -> g.mul(y.add(1)));
      case LOG -> input((g, x) -> g.div(x));
      case LOG1P -> input((g, x) -> g.div(x.add(1)));
      case SQRT -> output((g, y) -> g.div(y.mul(2)));
      case RSQRT -> output((g, y) -> g.mul(y.mul(y).mul(y)).mul(-0.5));
      case RECIPROCAL -> output((g, y) -> g.mul(y.mul(y)).neg());
      case SIN -> input((g, x) -> g.mul(x.cos()));
      case COS -> input((g, x) -> g.mul(x.sin()).neg());
      case ERF -> input((g, x) -> g.mul(x.mul(x).neg().exp()).mul(TWO_OVER_SQRT_PI));
      case SIGMOID -> output((g, y) -> g.mul(y.mul(y.rsub(1))));
      case TANH -> output((g, y) -> g.mul(y.mul(y).rsub(1)));
      case RELU -> output((g, y) -> Elementwise.binary(BinaryOp.GATE, g, y));
      case GELU -> input((g, x) -> g.mul(gelu(x)));
      case GELU_TANH -> input((g, x) -> g.mul(geluTanh(x)));
      case SILU ->
          input(
              (g, x) -> {
                Tensor s = x.sigmoid();
                return g.mul(s.mul(x.mul(s.rsub(1)).add(1)));
              });
      case SOFTPLUS -> input((g, x) -> g.mul(x.sigmoid()));
      case SIGN, FLOOR, CEIL, ROUND, STEP -> new Rule(Saved.ZERO, (g, unused) -> g);
    };
  }

  /** Phi(x) + x phi(x). */
  private static Tensor gelu(Tensor x) {
    Tensor density = x.mul(x).mul(-0.5).exp().mul(1 / Math.sqrt(2 * Math.PI));
    return x.mul(Math.sqrt(0.5)).erf().add(1).mul(0.5).add(x.mul(density));
  }

  private static Tensor geluTanh(Tensor x) {
    // Far out tanh is 1 and its slope 0, which times an overflow of x^2 would be NaN.
    Tensor near = x.clamp(-GELU_TANH_SATURATED, GELU_TANH_SATURATED);
    Tensor square = near.mul(near);
    Tensor t = near.mul(square.mul(CUBIC).add(1)).mul(SQRT_TWO_OVER_PI).tanh();
    Tensor slope = square.mul(3 * CUBIC).add(1).mul(SQRT_TWO_OVER_PI);
    return t.add(1).mul(0.5).add(near.mul(0.5).mul(t.mul(t).rsub(1)).mul(slope));
  }
}
