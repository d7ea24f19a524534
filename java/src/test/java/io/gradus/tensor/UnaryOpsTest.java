package io.gradus.tensor;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleUnaryOperator;
import java.util.function.UnaryOperator;

/** Element-wise functions of one tensor. */
class UnaryOpsTest extends OpTestCase {
  private static OpSpec unary(
      String name, UnaryOperator<Tensor> op, DoubleUnaryOperator f, double low, double high) {
    return OpSpec.op(name + "()").apply(in -> op.apply(in[0])).givesEach(f).onShapes(low, high);
  }

  private static OpSpec floatingOnly(OpSpec spec, UnaryOperator<Tensor> op, String name) {
    return spec.refuses(
        DTypeException.class, "[" + name + "]", () -> op.apply(Tensor.of(new int[] {1, 2})));
  }

  private static OpSpec floating(
      String name, UnaryOperator<Tensor> op, DoubleUnaryOperator f, double low, double high) {
    return floatingOnly(unary(name, op, f, low, high), op, name);
  }

  /** Piecewise constant: no gradient, and values on a grid that holds the steps themselves. */
  private static OpSpec steps(String name, UnaryOperator<Tensor> op, DoubleUnaryOperator f) {
    return OpSpec.op(name + "()")
        .apply(in -> op.apply(in[0]))
        .givesEach(f)
        .notDifferentiable()
        .onShapes(-2, 2)
        .on(Operand.x(40).range(-3, 3).grid(0.5))
        .on(Operand.x(6).values(-2.5, -0.5, -0.0, 0.5, 1.5, 2.5));
  }

  /** The error function by Simpson's rule. */
  private static double erf(double x) {
    int n = 600;
    double h = x / n;
    double sum = 1 + Math.exp(-x * x);
    for (int i = 1; i < n; i++) {
      sum += (i % 2 == 1 ? 4 : 2) * Math.exp(-(i * h) * (i * h));
    }
    return 2 / Math.sqrt(Math.PI) * sum * h / 3;
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    specs.add(
        unary("neg", Tensor::neg, x -> -x, -3, 3)
            .on(Operand.x(4).values(0.0, -0.0, Double.POSITIVE_INFINITY, Double.NaN).constant()));
    specs.add(unary("abs", Tensor::abs, Math::abs, -3, 3));
    specs.add(unary("square", Tensor::square, x -> x * x, -3, 3));
    specs.add(
        floating("exp", Tensor::exp, Math::exp, -3, 3)
            .on(Operand.x(3).values(Double.NEGATIVE_INFINITY, 0, Double.NaN).constant()));
    specs.add(
        floating("expm1", Tensor::expm1, Math::expm1, -2, 2)
            .on(Operand.x(4).values(1e-7, -1e-7, 1e-4, 0)));
    specs.add(
        floating("log", Tensor::log, Math::log, 0.1, 4)
            .on(Operand.x(3).values(0, -1, Double.POSITIVE_INFINITY).constant()));
    specs.add(
        floating("log1p", Tensor::log1p, Math::log1p, -0.8, 3)
            .on(Operand.x(4).values(1e-7, -1e-7, 1e-4, 0)));
    specs.add(floating("sqrt", Tensor::sqrt, Math::sqrt, 0.1, 4));
    specs.add(floating("rsqrt", Tensor::rsqrt, x -> 1 / Math.sqrt(x), 0.1, 4));
    specs.add(floating("reciprocal", Tensor::reciprocal, x -> 1 / x, 0.3, 3));
    specs.add(floating("sin", Tensor::sin, Math::sin, -4, 4));
    specs.add(floating("cos", Tensor::cos, Math::cos, -4, 4));
    specs.add(
        floating("erf", Tensor::erf, UnaryOpsTest::erf, -3, 3).on(Operand.x(2).values(5.5, -5.5)));
    specs.add(
        floating("sigmoid", Tensor::sigmoid, UnaryOpsTest::sigmoid, -5, 5)
            .on(Operand.x(4).values(-800, 800, -80, 80)));
    specs.add(floating("tanh", Tensor::tanh, Math::tanh, -3, 3).on(Operand.x(2).values(-50, 50)));
    specs.add(
        unary("relu", Tensor::relu, x -> Math.max(x, 0), -2, 2)
            .on(Operand.x(3).values(Double.NaN, -1, 1).constant()));
    specs.add(floating("gelu", Tensor::gelu, x -> x * 0.5 * (1 + erf(x / Math.sqrt(2))), -3, 3));
    specs.add(
        floating(
            "geluTanh",
            Tensor::geluTanh,
            x -> 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
            -3,
            3));
    specs.add(floating("silu", Tensor::silu, x -> x * sigmoid(x), -4, 4));
    specs.add(
        floating("softplus", Tensor::softplus, x -> Math.log1p(Math.exp(x)), -4, 4)
            .on(Operand.x(2).values(-60, 60)));
    specs.add(steps("sign", Tensor::sign, Math::signum));
    specs.add(steps("step", Tensor::step, x -> x > 0 ? 1 : 0));
    specs.add(steps("floor", Tensor::floor, Math::floor));
    specs.add(steps("ceil", Tensor::ceil, Math::ceil));
    specs.add(steps("round", Tensor::round, Math::rint));
    specs.addAll(withParameters());
    specs.add(onIntegers());
    specs.add(not());
    return specs;
  }

  private static List<OpSpec> withParameters() {
    return List.of(
        OpSpec.op("clamp(double,double)")
            .apply(in -> in[0].clamp(-0.5, 1.25))
            .givesEach(x -> Math.min(Math.max(x, -0.5), 1.25))
            .onShapes(-2, 2)
            .refuses(ArgumentException.class, "exceeds", () -> Tensor.ones(2).clamp(1, 0)),
        OpSpec.op("leakyRelu(double)")
            .apply(in -> in[0].leakyRelu(0.1))
            .givesEach(x -> x > 0 ? x : 0.1 * x)
            // 0.1 is rounded to the type before the product is.
            .halfSteps(2)
            .onShapes(-2, 2),
        OpSpec.op("elu(double)")
            .apply(in -> in[0].elu(1.5))
            .givesEach(x -> x > 0 ? x : 1.5 * Math.expm1(x))
            .halfSteps(2)
            .onShapes(-2, 2)
            .on(Operand.x(2).values(-500, 500)),
        OpSpec.op("pow(double)")
            .apply(in -> in[0].pow(2.5))
            .givesEach(x -> Math.pow(x, 2.5))
            .onShapes(0.2, 3),
        OpSpec.op("pow(double)").apply(in -> in[0].pow(2)).givesEach(x -> x * x).onShapes(-3, 3),
        OpSpec.op("pow(double)").apply(in -> in[0].pow(-1)).givesEach(x -> 1 / x).onShapes(0.3, 3),
        OpSpec.op("pow(double)")
            .apply(in -> in[0].pow(3))
            .givesEach(x -> x * x * x)
            .onShapes(-2, 2)
            .on(Operand.x(3).values(0, -1, 2)),
        OpSpec.op("add(double)")
            .apply(in -> in[0].add(1.5))
            .givesEach(x -> x + 1.5)
            .onShapes(-2, 2),
        OpSpec.op("sub(double)")
            .apply(in -> in[0].sub(1.5))
            .givesEach(x -> x - 1.5)
            .onShapes(-2, 2),
        OpSpec.op("rsub(double)")
            .apply(in -> in[0].rsub(1.5))
            .givesEach(x -> 1.5 - x)
            .onShapes(-2, 2),
        OpSpec.op("mul(double)")
            .apply(in -> in[0].mul(-2.5))
            .givesEach(x -> x * -2.5)
            .onShapes(-2, 2),
        OpSpec.op("div(double)")
            .apply(in -> in[0].div(-2.5))
            .givesEach(x -> x / -2.5)
            .onShapes(-2, 2));
  }

  private static OpSpec onIntegers() {
    OpSpec spec =
        OpSpec.op("neg()", "abs()", "sign()", "relu()", "add(double)", "mul(double)")
            .applyAll(
                in ->
                    new Tensor[] {
                      in[0].neg(),
                      in[0].abs(),
                      in[0].sign(),
                      in[0].relu(),
                      in[0].add(3),
                      in[0].mul(-2)
                    })
            .givesAll(
                in ->
                    new Nd[] {
                      in[0].map(x -> -x),
                      in[0].map(Math::abs),
                      in[0].map(Math::signum),
                      in[0].map(x -> Math.max(x, 0)),
                      in[0].map(x -> x + 3),
                      in[0].map(x -> x * -2)
                    })
            .dtypes(DType.INT32, DType.INT64)
            .notDifferentiable();
    for (long[] dims :
        new long[][] {{}, {1}, {5}, {2, 3}, {0}, {2, 0}, {1, 4, 1}, {1030}, {65, 3}}) {
      spec.on(Operand.x(dims).range(-9, 9).grid(1));
    }
    return spec.on(Operand.x(3, 4).range(-9, 9).grid(1).transposed())
        .on(Operand.x(3, 4).range(-9, 9).grid(1).sliced());
  }

  private static OpSpec not() {
    OpSpec spec =
        OpSpec.op("not()")
            .apply(in -> in[0].not())
            .givesEach(x -> 1 - x)
            .dtypes(DType.BOOL)
            .notDifferentiable()
            .refuses(DTypeException.class, "[not] needs BOOL", () -> Tensor.ones(2).not());
    for (long[] dims :
        new long[][] {{}, {1}, {5}, {2, 3}, {0}, {2, 0}, {1, 4, 1}, {1030}, {65, 3}}) {
      spec.on(Operand.mask(dims));
    }
    return spec.on(Operand.mask(3, 4).transposed()).on(Operand.mask(3, 4).sliced());
  }
}
