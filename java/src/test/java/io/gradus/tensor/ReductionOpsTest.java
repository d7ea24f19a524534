package io.gradus.tensor;

import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.function.UnaryOperator;

/** Reductions over every choice of axes. */
class ReductionOpsTest extends OpTestCase {
  /** A reduction of the engine: keepDim and axes. */
  @FunctionalInterface
  private interface Reduction {
    Tensor apply(Tensor x, boolean keepDim, int... axes);
  }

  /** One choice of axes and the shapes it is tried on. */
  private static final class Choice {
    final boolean keepDim;
    final int[] axes;
    final Operand[] operands;

    Choice(boolean keepDim, int[] axes, Operand... operands) {
      this.keepDim = keepDim;
      this.axes = axes;
      this.operands = operands;
    }
  }

  private static final List<Choice> CHOICES =
      List.of(
          new Choice(
              false,
              new int[] {},
              Operand.x(),
              Operand.x(1),
              Operand.x(7),
              Operand.x(3, 5),
              Operand.x(1, 1, 1),
              Operand.x(2, 3, 4),
              Operand.x(2051),
              Operand.x(4, 5).transposed(),
              Operand.x(3, 4).sliced(),
              Operand.x(3, 4).expanded()),
          new Choice(
              true,
              new int[] {0},
              Operand.x(1),
              Operand.x(5),
              Operand.x(3, 5),
              Operand.x(1, 4),
              Operand.x(4, 1),
              Operand.x(2, 3, 4),
              Operand.x(1025, 3),
              Operand.x(3, 0),
              Operand.x(4, 5).transposed(),
              Operand.x(3, 4).sliced()),
          new Choice(
              false,
              new int[] {-1},
              Operand.x(1),
              Operand.x(3, 5),
              Operand.x(1, 4),
              Operand.x(4, 1),
              Operand.x(2, 3, 4),
              Operand.x(3, 1030),
              Operand.x(0, 3),
              Operand.x(4, 5).transposed(),
              Operand.x(3, 4).sliced(),
              Operand.x(3, 4).expanded()),
          new Choice(
              false,
              new int[] {0, 2},
              Operand.x(2, 3, 4),
              Operand.x(1, 1, 1),
              Operand.x(1, 3, 1),
              Operand.x(2, 3, 2, 2),
              Operand.x(3, 0, 2),
              Operand.x(9, 2, 40),
              Operand.x(2, 3, 4).transposed(),
              Operand.x(2, 3, 4).sliced(),
              Operand.x(2, 3, 4).expanded(),
              Operand.x(2, 1, 5)),
          new Choice(
              true,
              new int[] {1, -1},
              Operand.x(2, 3, 4),
              Operand.x(1, 1, 1),
              Operand.x(5, 3, 1),
              Operand.x(2, 2, 3, 2),
              Operand.x(0, 2, 2),
              Operand.x(2, 9, 40),
              Operand.x(2, 3, 4).transposed(),
              Operand.x(2, 3, 4).sliced(),
              Operand.x(2, 3, 1),
              Operand.x(1, 2, 5)));

  private static double groupSize(Choice choice, Nd x) {
    double n = 1;
    if (choice.axes.length == 0) {
      return x.data().length;
    }
    for (int axis : choice.axes) {
      n *= x.dim(axis);
    }
    return n;
  }

  /** A spec for each choice of axes. */
  private static List<OpSpec> over(
      String name, Reduction op, ToDoubleFunction<double[]> naive, double low, double high) {
    List<OpSpec> specs = new ArrayList<>();
    for (Choice choice : CHOICES) {
      OpSpec spec =
          OpSpec.op(covers(name))
              .apply(in -> op.apply(in[0], choice.keepDim, choice.axes))
              .gives(in -> in[0].reduce(choice.keepDim, naive, choice.axes))
              .terms(in -> groupSize(choice, in[0]));
      for (Operand x : choice.operands) {
        spec.on(x.range(low, high));
      }
      specs.add(spec);
    }
    specs
        .get(0)
        .refuses(
            ShapeException.class, "[" + name + "] axis 2", () -> op.apply(ones(2, 3), false, 2))
        .refuses(ShapeException.class, "twice", () -> op.apply(ones(2, 3), false, 0, -2));
    return specs;
  }

  private static String[] covers(String name) {
    String flags = name.equals("variance") ? "(int,boolean,int[])" : "(boolean,int[])";
    return new String[] {name + "(int[])", name + flags};
  }

  private static Tensor ones(long... dims) {
    return Tensor.ones(dims);
  }

  private static double mean(double[] x) {
    return Arrays.stream(x).sum() / x.length;
  }

  private static double sumOfSquares(double[] x) {
    double m = mean(x);
    return Arrays.stream(x).map(v -> (v - m) * (v - m)).sum();
  }

  private static double max(double[] x) {
    double m = Double.NEGATIVE_INFINITY;
    for (double v : x) {
      m = Math.max(m, v);
    }
    return m;
  }

  private static double argmax(double[] x) {
    int at = 0;
    for (int i = 1; i < x.length; i++) {
      if (x[i] > x[at] || (Double.isNaN(x[i]) && !Double.isNaN(x[at]))) {
        at = i;
      }
    }
    return at;
  }

  private static double[] negated(double[] x) {
    return Arrays.stream(x).map(v -> -v).toArray();
  }

  private static double logSumExp(double[] x) {
    double m = max(x);
    return m + Math.log(Arrays.stream(x).map(v -> Math.exp(v - m)).sum());
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    specs.addAll(
        over(
            "sum",
            (x, keep, axes) -> keep ? x.sum(true, axes) : x.sum(axes),
            x -> Arrays.stream(x).sum(),
            -2,
            2));
    specs.addAll(
        over(
            "mean",
            (x, keep, axes) -> keep ? x.mean(true, axes) : x.mean(axes),
            ReductionOpsTest::mean,
            -2,
            2));
    // Difference, exponential, sum, logarithm and shift each round in a 16-bit type.
    for (OpSpec spec :
        over(
            "logSumExp",
            (x, keep, axes) -> keep ? x.logSumExp(true, axes) : x.logSumExp(axes),
            ReductionOpsTest::logSumExp,
            0.5,
            3)) {
      specs.add(spec.halfSteps(5));
    }
    specs.addAll(
        over(
            "max",
            (x, keep, axes) -> keep ? x.max(true, axes) : x.max(axes),
            ReductionOpsTest::max,
            -2,
            2));
    specs.addAll(
        over(
            "min",
            (x, keep, axes) -> keep ? x.min(true, axes) : x.min(axes),
            x -> -max(negated(x)),
            -2,
            2));
    // Distance from the mean, square, sum and quotient each round in a 16-bit type.
    for (OpSpec spec :
        over(
            "variance",
            (x, keep, axes) -> x.variance(0, keep, axes),
            x -> sumOfSquares(x) / x.length,
            -2,
            2)) {
      specs.add(spec.halfSteps(6));
    }
    specs.addAll(unbiasedVariance());
    specs.addAll(arguments());
    specs.addAll(special());
    specs.add(integers());
    specs.add(
        OpSpec.op("Updates.sumOfSquares(Tensor)")
            .apply(in -> Updates.sumOfSquares(in[0]))
            .gives(in -> in[0].reduce(false, x -> Arrays.stream(x).map(v -> v * v).sum()))
            .result(DType.FLOAT64)
            .notDifferentiable()
            .onShapes(-2, 2));
    return specs;
  }

  private static List<OpSpec> unbiasedVariance() {
    OpSpec spec =
        OpSpec.op("variance(int[])", "variance(int,boolean,int[])")
            .apply(in -> in[0].variance(-1))
            .gives(in -> in[0].reduce(false, x -> sumOfSquares(x) / (x.length - 1), -1))
            .halfSteps(6)
            .terms(in -> in[0].dim(-1))
            .refuses(
                DTypeException.class,
                "[variance] needs a floating type",
                () -> Tensor.arange(3).variance());
    for (Operand x :
        List.of(
            Operand.x(2),
            Operand.x(3, 5),
            Operand.x(1, 4),
            Operand.x(2, 3, 4),
            Operand.x(3, 1030),
            Operand.x(0, 3),
            Operand.x(4, 5).transposed(),
            Operand.x(3, 4).sliced(),
            Operand.x(3, 4).expanded(),
            Operand.x(2, 2, 2, 2))) {
      spec.on(x);
    }
    // Far from 0 a sum of squares minus a squared sum would lose every digit.
    OpSpec far =
        OpSpec.op("variance(int[])")
            .apply(in -> in[0].variance())
            .gives(in -> in[0].reduce(false, x -> sumOfSquares(x) / (x.length - 1)))
            .dtypes(DType.FLOAT32, DType.FLOAT64)
            .loosen(40)
            .terms(in -> in[0].data().length)
            .notDifferentiable();
    for (long n : new long[] {2, 3, 4, 5, 7, 16, 33, 100, 1024, 2049}) {
      far.on(Operand.x(n).range(4096, 4098).constant());
    }
    return List.of(spec, far);
  }

  private static List<OpSpec> arguments() {
    List<OpSpec> specs = new ArrayList<>();
    specs.add(argument("argmax(int)", x -> x.argmax(1), ReductionOpsTest::argmax, false));
    specs.add(
        argument("argmax(int,boolean)", x -> x.argmax(1, true), ReductionOpsTest::argmax, true));
    specs.add(argument("argmin(int)", x -> x.argmin(1), x -> argmax(negated(x)), false));
    specs
        .get(0)
        .refuses(ShapeException.class, "[argmax] axis 0", () -> Tensor.zeros(0, 2).argmax(0))
        .refuses(ShapeException.class, "[argmax] axis 1", () -> Tensor.zeros(2).argmax(1));
    return specs;
  }

  private static OpSpec argument(
      String cover, UnaryOperator<Tensor> op, ToDoubleFunction<double[]> naive, boolean keepDim) {
    OpSpec spec =
        OpSpec.op(cover)
            .apply(in -> op.apply(in[0]))
            .gives(in -> in[0].reduce(keepDim, naive, 1))
            .dtypes(
                DType.FLOAT64,
                DType.FLOAT32,
                DType.BFLOAT16,
                DType.FLOAT16,
                DType.INT32,
                DType.INT64)
            .result(DType.INT64)
            .notDifferentiable();
    for (Operand x :
        List.of(
            Operand.x(3, 5),
            Operand.x(1, 1),
            Operand.x(4, 1),
            Operand.x(2, 3, 4),
            Operand.x(2, 1030),
            Operand.x(3, 40),
            Operand.x(0, 3),
            Operand.x(2, 3, 0),
            Operand.x(4, 5).transposed(),
            Operand.x(3, 4).sliced(),
            Operand.x(3, 4).expanded())) {
      // A coarse grid makes ties: the first of equals is wanted.
      spec.on(x.range(-3, 3).grid(1));
    }
    return spec.on(
        Operand.x(2, 3)
            .values(1, Double.NaN, Double.NaN, Double.NEGATIVE_INFINITY, -5, -5)
            .range(0, 0));
  }

  /** Empty groups, infinities, NaN and ties. */
  private static List<OpSpec> special() {
    double inf = Double.POSITIVE_INFINITY;
    List<OpSpec> specs = new ArrayList<>();
    specs.add(
        OpSpec.op("sum(int[])")
            .apply(in -> in[0].sum(1))
            .gives(in -> in[0].reduce(false, x -> Arrays.stream(x).sum(), 1))
            .on(Operand.x(2, 0))
            .on(Operand.x(0, 0))
            .on(Operand.x(2, 2).values(inf, -inf, Double.NaN, 1).constant()));
    specs.add(
        OpSpec.op("mean(int[])")
            .apply(in -> in[0].mean(1))
            .gives(in -> in[0].reduce(false, x -> Double.NaN, 1))
            .on(Operand.x(2, 0).constant())
            .refuses(
                DTypeException.class,
                "[mean] needs a floating type",
                () -> Tensor.arange(3).mean()));
    specs.add(
        OpSpec.op("logSumExp(int[])")
            .apply(in -> in[0].logSumExp(1))
            .gives(in -> in[0].reduce(false, ReductionOpsTest::shifted, 1))
            .dtypes(DType.FLOAT64, DType.FLOAT32)
            .on(Operand.x(1, 2).values(1000, 1000.5))
            .on(Operand.x(1, 2).values(-1000, -1000.5))
            .on(Operand.x(2, 2).values(-inf, -inf, inf, 0).constant())
            .on(Operand.x(2, 2).values(-inf, 1, 3, -inf).constant())
            .on(Operand.x(2, 0).constant()));
    specs.add(
        OpSpec.op("max(int[])")
            .apply(in -> in[0].max(1))
            .gives(in -> in[0].reduce(false, ReductionOpsTest::max, 1))
            .on(Operand.x(2, 2).values(inf, Double.NaN, -inf, -inf).constant())
            .refuses(ShapeException.class, "no extreme of nothing", () -> Tensor.zeros(2, 0).max(1))
            .refuses(ShapeException.class, "no extreme of nothing", () -> Tensor.zeros(0).min()));
    return specs;
  }

  private static double shifted(double[] x) {
    double m = max(x);
    return Double.isInfinite(m) ? m : logSumExp(x);
  }

  private static OpSpec integers() {
    OpSpec spec =
        OpSpec.op("sum(int[])")
            .apply(in -> in[0].sum(-1))
            .gives(in -> in[0].reduce(false, x -> Arrays.stream(x).sum(), -1))
            .dtypes(DType.INT32, DType.INT64, DType.UINT8, DType.BOOL)
            .result(DType.INT64)
            .notDifferentiable();
    for (long[] dims :
        new long[][] {{1}, {5}, {2, 3}, {0}, {2, 0}, {0, 2}, {1, 4, 1}, {1030}, {65, 3}}) {
      spec.on(Operand.x(dims).range(0, 1).grid(1));
    }
    return spec.on(Operand.x(300).range(200, 255).grid(1).typed(DType.UINT8))
        .on(Operand.x(3).values(2e9, 2e9, 2e9).typed(DType.INT32));
  }

  @Override
  protected int minCases(OpSpec spec) {
    // Special values stand beside the shapes of the same operation.
    return spec.cases().size() < 6 ? 1 : super.minCases(spec);
  }
}
