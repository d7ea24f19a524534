package io.gradus.tensor;

import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.DeviceException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import io.gradus.testing.TestDevices;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BinaryOperator;
import java.util.function.DoubleBinaryOperator;
import java.util.function.UnaryOperator;

/** Element-wise functions of two tensors, comparisons and selection. */
class BinaryOpsTest extends OpTestCase {
  private static Operand wide(Operand x) {
    return x.range(-3, 3);
  }

  private static Operand positive(Operand x) {
    return x.range(0.4, 3);
  }

  /** Multiples of 1/2, so that equal operands occur. */
  private static Operand grid(Operand x) {
    return x.range(-2, 2).grid(0.5);
  }

  private static Operand integral(Operand x) {
    return x.range(-9, 9).grid(1);
  }

  private static Operand flag(Operand x) {
    return x.range(0, 1).grid(1);
  }

  private static OpSpec binary(String name, BinaryOperator<Tensor> op, DoubleBinaryOperator f) {
    return OpSpec.op(name + "(Tensor)")
        .apply(in -> op.apply(in[0], in[1]))
        .givesEachPair(f)
        .refuses(
            ShapeException.class,
            "do not broadcast",
            () -> op.apply(Tensor.ones(2, 3), Tensor.ones(4)))
        .refuses(
            DeviceException.class,
            "different devices",
            () -> {
              Tensor there =
                  Tensor.full(TestDevices.primitives(), DType.FLOAT32, Tensor.ones(2).shape(), 1);
              op.apply(Tensor.ones(2), there);
            })
        .refuses(
            IllegalStateException.class,
            "use after close",
            () -> {
              Tensor closed = Tensor.ones(2);
              closed.close();
              op.apply(Tensor.ones(2), closed);
            });
  }

  private static OpSpec compare(String name, BinaryOperator<Tensor> op, DoubleBinaryOperator f) {
    return binary(name, op, f)
        .dtypes(
            DType.FLOAT64, DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16, DType.INT32, DType.INT64)
        .result(DType.BOOL)
        .notDifferentiable()
        .onPairs(BinaryOpsTest::grid, BinaryOpsTest::grid)
        .on(
            Operand.x(4).values(Double.NaN, 1, Double.POSITIVE_INFINITY, -0.0),
            Operand.x(4).values(Double.NaN, Double.NaN, Double.POSITIVE_INFINITY, 0.0));
  }

  private static OpSpec compareWithNumber(
      String name, UnaryOperator<Tensor> op, DoubleBinaryOperator f) {
    return OpSpec.op(name + "(double)")
        .apply(in -> op.apply(in[0]))
        .givesEach(x -> f.applyAsDouble(x, 0.5))
        .result(DType.BOOL)
        .notDifferentiable()
        .onShapes(-2, 2)
        .on(Operand.x(50).grid(0.5));
  }

  private static double floorDiv(double a, double b) {
    return b == 0 ? 0 : Math.floor(a / b);
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    specs.add(
        binary("add", Tensor::add, (a, b) -> a + b)
            .onPairs(BinaryOpsTest::wide, BinaryOpsTest::wide));
    specs.add(
        binary("sub", Tensor::sub, (a, b) -> a - b)
            .onPairs(BinaryOpsTest::wide, BinaryOpsTest::wide));
    specs.add(
        binary("mul", Tensor::mul, (a, b) -> a * b)
            .onPairs(BinaryOpsTest::wide, BinaryOpsTest::wide));
    specs.add(
        binary("div", Tensor::div, (a, b) -> a / b)
            .onPairs(BinaryOpsTest::wide, BinaryOpsTest::positive));
    specs.add(
        binary("pow", Tensor::pow, Math::pow)
            .onPairs(BinaryOpsTest::positive, BinaryOpsTest::wide));
    specs.add(
        binary("maximum", Tensor::maximum, Math::max)
            .onPairs(BinaryOpsTest::wide, BinaryOpsTest::wide));
    specs.add(
        binary("minimum", Tensor::minimum, Math::min)
            .onPairs(BinaryOpsTest::wide, BinaryOpsTest::wide));
    specs.add(integers("add", Tensor::add, (a, b) -> a + b));
    specs.add(integers("sub", Tensor::sub, (a, b) -> a - b));
    specs.add(integers("mul", Tensor::mul, (a, b) -> a * b));
    specs.add(integers("div", Tensor::div, BinaryOpsTest::floorDiv));
    specs.add(integers("maximum", Tensor::maximum, Math::max));
    specs.add(integers("minimum", Tensor::minimum, Math::min));
    specs.add(logic("maximum", Tensor::maximum, Math::max));
    specs.add(logic("minimum", Tensor::minimum, Math::min));
    comparison(specs, "eq", Tensor::eq, x -> x.eq(0.5), (a, b) -> a == b ? 1 : 0);
    comparison(specs, "ne", Tensor::ne, x -> x.ne(0.5), (a, b) -> a != b ? 1 : 0);
    comparison(specs, "lt", Tensor::lt, x -> x.lt(0.5), (a, b) -> a < b ? 1 : 0);
    comparison(specs, "le", Tensor::le, x -> x.le(0.5), (a, b) -> a <= b ? 1 : 0);
    comparison(specs, "gt", Tensor::gt, x -> x.gt(0.5), (a, b) -> a > b ? 1 : 0);
    comparison(specs, "ge", Tensor::ge, x -> x.ge(0.5), (a, b) -> a >= b ? 1 : 0);
    specs.add(where());
    specs.add(maskedFill());
    return specs;
  }

  private static void comparison(
      List<OpSpec> specs,
      String name,
      BinaryOperator<Tensor> tensors,
      UnaryOperator<Tensor> number,
      DoubleBinaryOperator f) {
    specs.add(compare(name, tensors, f));
    specs.add(compareWithNumber(name, number, f));
  }

  private static OpSpec integers(String name, BinaryOperator<Tensor> op, DoubleBinaryOperator f) {
    return OpSpec.op(name + "(Tensor)")
        .apply(in -> op.apply(in[0], in[1]))
        .givesEachPair(f)
        .dtypes(DType.INT32, DType.INT64)
        .notDifferentiable()
        .onPairs(BinaryOpsTest::integral, BinaryOpsTest::integral);
  }

  private static OpSpec logic(String name, BinaryOperator<Tensor> op, DoubleBinaryOperator f) {
    return OpSpec.op(name + "(Tensor)")
        .apply(in -> op.apply(in[0], in[1]))
        .givesEachPair(f)
        .dtypes(DType.BOOL)
        .notDifferentiable()
        .onPairs(BinaryOpsTest::flag, BinaryOpsTest::flag)
        .refuses(
            DTypeException.class,
            "not defined on BOOL",
            () -> Tensor.of(new boolean[] {true}).add(Tensor.of(new boolean[] {true})));
  }

  private static Nd where(Nd[] in) {
    long[] dims = Nd.broadcast(in[0].dims(), Nd.broadcast(in[1].dims(), in[2].dims()));
    return Nd.generate(
        dims, i -> in[0].broadcastAt(i) != 0 ? in[1].broadcastAt(i) : in[2].broadcastAt(i));
  }

  private static OpSpec where() {
    return OpSpec.op("where(Tensor,Tensor,Tensor)")
        .apply(in -> Tensor.where(in[0], in[1], in[2]))
        .gives(BinaryOpsTest::where)
        .on(Operand.mask(), Operand.x(), Operand.x())
        .on(Operand.mask(5), Operand.x(5), Operand.x(5))
        .on(Operand.mask(3, 4), Operand.x(4), Operand.x(3, 1))
        .on(Operand.mask(4), Operand.x(3, 4), Operand.x())
        .on(Operand.mask(), Operand.x(2, 3), Operand.x(2, 3))
        .on(Operand.mask(3, 1), Operand.x(), Operand.x(1, 4))
        .on(Operand.mask(0), Operand.x(0), Operand.x())
        .on(Operand.mask(2, 0), Operand.x(1, 1), Operand.x(2, 0))
        .on(Operand.mask(1100), Operand.x(1100), Operand.x(1100))
        .on(Operand.mask(3, 4).transposed(), Operand.x(3, 4), Operand.x(3, 4).transposed())
        .on(Operand.mask(3, 4).sliced(), Operand.x(3, 4).sliced(), Operand.x(4))
        .on(Operand.mask(2, 3), Operand.x(2, 3).expanded(), Operand.x(1, 1, 1))
        .refuses(
            DTypeException.class,
            "[where] the condition is FLOAT32, not BOOL",
            () -> Tensor.where(Tensor.ones(2), Tensor.ones(2), Tensor.ones(2)))
        .refuses(
            ShapeException.class,
            "do not broadcast",
            () ->
                Tensor.where(
                    Tensor.of(new boolean[] {true, false}), Tensor.ones(3), Tensor.ones(3)));
  }

  private static OpSpec maskedFill() {
    OpSpec spec =
        OpSpec.op("maskedFill(Tensor,double)")
            .apply(in -> in[0].maskedFill(in[1], -7.5))
            .givesEachPair((x, m) -> m != 0 ? -7.5 : x)
            .refuses(
                DTypeException.class,
                "not BOOL",
                () -> Tensor.ones(2).maskedFill(Tensor.ones(2), 0));
    Operand[][] pairs = {
      {Operand.x(), Operand.mask()},
      {Operand.x(5), Operand.mask(5)},
      {Operand.x(3, 4), Operand.mask(4)},
      {Operand.x(3, 4), Operand.mask(3, 1)},
      {Operand.x(4), Operand.mask(3, 4)},
      {Operand.x(1), Operand.mask(1)},
      {Operand.x(0), Operand.mask(0)},
      {Operand.x(2, 0), Operand.mask()},
      {Operand.x(1100), Operand.mask(1100)},
      {Operand.x(3, 4).transposed(), Operand.mask(3, 4)},
      {Operand.x(3, 4), Operand.mask(3, 4).sliced()},
    };
    for (Operand[] pair : pairs) {
      spec.on(pair);
    }
    return spec;
  }
}
