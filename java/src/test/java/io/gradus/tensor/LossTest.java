package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.DoubleBinaryOperator;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** Losses. */
class LossTest extends OpTestCase {
  private static final long IGNORED = 1;
  private static final double DELTA = 0.75;

  /** A loss of pairs in the engine. */
  @FunctionalInterface
  private interface PairLoss {
    Tensor apply(Tensor input, Tensor target, Reduction reduction);
  }

  private static Nd reduce(Nd losses, Reduction reduction) {
    return reduce(losses, losses.data().length, reduction);
  }

  private static Nd reduce(Nd losses, double denominator, Reduction reduction) {
    double sum = Arrays.stream(losses.data()).sum();
    return switch (reduction) {
      case NONE -> losses;
      case SUM -> Nd.of(new long[0], sum);
      case MEAN -> Nd.of(new long[0], sum / denominator);
    };
  }

  private static double terms(Nd x, Reduction reduction) {
    return reduction == Reduction.NONE ? 1 : x.data().length;
  }

  /**
   * The pairwise loss of a name, whose mean is also the default.
   *
   * @param extra further parameter types of both overloads
   * @param options further parameter types of the overload with a reduction
   * @param halfSteps of how many rounded steps a 16-bit loss is composed
   */
  private static List<OpSpec> pairs(
      String name,
      String extra,
      String options,
      PairLoss loss,
      DoubleBinaryOperator naive,
      double halfSteps) {
    String plain = "Loss." + name + "(Tensor,Tensor" + extra + ")";
    String general = "Loss." + name + "(Tensor,Tensor" + extra + options + ",Reduction)";
    List<OpSpec> specs = new ArrayList<>();
    for (Reduction reduction : Reduction.values()) {
      OpSpec spec =
          (reduction == Reduction.MEAN ? OpSpec.op(plain) : OpSpec.op(general))
              .variant(reduction)
              .apply(in -> loss.apply(in[0], in[1], reduction))
              .gives(in -> reduce(Nd.zip(in[0], in[1], naive), reduction))
              .terms(in -> terms(in[0], reduction))
              .halfSteps(halfSteps);
      for (long[] dims : new long[][] {{}, {1}, {7}, {3, 4}, {2, 3, 2}, {1, 1}, {1, 5}, {1040}}) {
        spec.on(Operand.x(dims), Operand.x(dims).range(0, 1));
      }
      if (reduction != Reduction.MEAN) {
        spec.on(Operand.x(0), Operand.x(0)).on(Operand.x(2, 0), Operand.x(2, 0));
      }
      specs.add(
          spec.on(Operand.x(3, 4).transposed(), Operand.x(3, 4).range(0, 1).sliced())
              .on(Operand.x(3, 4).expanded(), Operand.x(3, 4).range(0, 1))
              .refuses(
                  ShapeException.class,
                  "[" + name + "] input [3] and target [1] must have the same shape",
                  () -> loss.apply(Tensor.ones(3), Tensor.ones(1), reduction))
              .refuses(
                  DTypeException.class,
                  "[" + name + "] input is FLOAT32 and target INT64",
                  () -> loss.apply(Tensor.ones(3), Tensor.arange(3), reduction)));
    }
    return specs;
  }

  private static double huber(double d) {
    double a = Math.abs(d);
    return a <= DELTA ? 0.5 * a * a : DELTA * (a - 0.5 * DELTA);
  }

  private static double logistic(double x, double t) {
    return Math.max(x, 0) - x * t + Math.log1p(Math.exp(-Math.abs(x)));
  }

  private static OpSpec weightedLogistic(Reduction reduction) {
    OpSpec spec =
        OpSpec.op("Loss.bceWithLogits(Tensor,Tensor,Tensor,Tensor,Reduction)")
            .variant("weighted", reduction)
            .apply(in -> Loss.bceWithLogits(in[0], in[1], in[2], in[3], reduction))
            .gives(
                in ->
                    reduce(
                        Nd.zip(
                            Nd.generate(
                                in[0].dims(),
                                i -> {
                                  double x = in[0].at(i);
                                  double t = in[1].at(i);
                                  double p = in[2].broadcastAt(i);
                                  return p * t * Math.log1p(Math.exp(-x))
                                      + (1 - t) * (x + Math.log1p(Math.exp(-x)));
                                }),
                            in[3],
                            (a, b) -> a * b),
                        reduction))
            .terms(in -> terms(in[0], reduction))
            .halfSteps(10)
            .refuses(
                ShapeException.class,
                "[bceWithLogits] posWeight [2] does not broadcast",
                () ->
                    Loss.bceWithLogits(
                        Tensor.ones(3), Tensor.ones(3), Tensor.ones(2), null, reduction));
    List<long[]> shapes = new ArrayList<>();
    if (reduction != Reduction.MEAN) {
      shapes.add(new long[] {0});
      shapes.add(new long[] {2, 0});
    }
    shapes.addAll(
        List.of(
            new long[][] {
              {1}, {7}, {3, 4}, {2, 3, 2}, {1, 1}, {4}, {1, 3}, {5, 1}, {65, 9}, {2, 1, 4}
            }));
    for (long[] dims : shapes) {
      spec.on(
          Operand.x(dims),
          Operand.x(dims).range(0, 1).constant(),
          Operand.x(dims[dims.length - 1]).range(0.5, 3).constant(),
          Operand.x().range(0.5, 3).constant());
    }
    return spec;
  }

  private static double[] classWeights(long classes) {
    double[] out = new double[(int) classes];
    Arrays.setAll(out, c -> 0.5 * (c % 5 + 1));
    return out;
  }

  private static Nd logSoftmax(Nd x) {
    Nd max = x.reduce(true, v -> Arrays.stream(v).max().orElse(0), -1);
    Nd shifted = Nd.zip(x, max, (a, b) -> a - b);
    Nd sum = shifted.map(Math::exp).reduce(true, v -> Arrays.stream(v).sum(), -1);
    return Nd.zip(shifted, sum, (a, b) -> a - Math.log(b));
  }

  /** How the classes enter a loss. */
  private record Classes(boolean weighted, double smoothing, boolean ignore, Reduction reduction) {
    CrossEntropyOptions options(Tensor scores) {
      CrossEntropyOptions options =
          CrossEntropyOptions.defaults().labelSmoothing(smoothing).reduction(reduction);
      if (weighted) {
        Tensor w = Tensor.of(classWeights(scores.size(-1)));
        options = options.weight(w.to(scores.dtype()).to(scores.device()));
      }
      return ignore ? options.ignoreIndex(IGNORED) : options;
    }

    /** The losses of rows of log-probabilities, for labels or for probabilities. */
    Nd losses(Nd logs, Nd target) {
      int classes = (int) logs.dim(-1);
      double[] w = classWeights(classes);
      double[] losses = new double[logs.data().length / classes];
      double total = 0;
      for (int row = 0; row < losses.length; row++) {
        boolean labels = target.rank() < logs.rank();
        long label = labels ? (long) target.data()[row] : -1;
        if (ignore && label == IGNORED) {
          continue;
        }
        for (int c = 0; c < classes; c++) {
          double p = labels ? (label == c ? 1 : 0) : target.data()[row * classes + c];
          double q = (1 - smoothing) * p + smoothing / classes;
          losses[row] -= (weighted ? w[c] : 1) * q * logs.data()[row * classes + c];
        }
        total += labels && weighted ? w[(int) label] : 1;
      }
      long[] rows = Arrays.copyOf(logs.dims(), logs.rank() - 1);
      return reduce(Nd.of(rows, losses), total, reduction);
    }
  }

  private static OpSpec onLabels(OpSpec spec, Reduction reduction, UnaryOperator<Operand> scores) {
    for (long[] dims :
        new long[][] {
          {3}, {1, 2}, {3, 4}, {5, 3}, {2, 3, 4}, {3, 2, 2, 3}, {7, 10}, {2, 130}, {66, 5}
        }) {
      long[] rows = Arrays.copyOf(dims, dims.length - 1);
      spec.on(scores.apply(Operand.x(dims)), labels(dims[dims.length - 1], rows));
    }
    if (reduction != Reduction.MEAN) {
      spec.on(scores.apply(Operand.x(0, 3)), labels(3, 0));
    }
    return spec.on(scores.apply(Operand.x(4, 3).transposed()), labels(3, 4).typed(DType.INT32))
        .on(scores.apply(Operand.x(4, 3).sliced()), labels(3, 4).sliced())
        .on(scores.apply(Operand.x(4, 3).expanded()), labels(3, 4));
  }

  /** Labels of which the first is never ignored, so that a mean is of something. */
  private static Operand labels(long classes, long... rows) {
    double[] labels = new double[(int) Nd.count(rows)];
    Arrays.setAll(labels, i -> i * 7 % classes);
    return Operand.index(classes, rows).values(labels);
  }

  private static OpSpec crossEntropy(Classes classes) {
    boolean plain = classes.equals(new Classes(false, 0, false, Reduction.MEAN));
    OpSpec spec =
        OpSpec.op(
                plain
                    ? "Loss.crossEntropy(Tensor,Tensor)"
                    : "Loss.crossEntropy(Tensor,Tensor,CrossEntropyOptions)")
            .variant("labels", classes)
            .apply(
                in ->
                    plain
                        ? Loss.crossEntropy(in[0], in[1])
                        : Loss.crossEntropy(in[0], in[1], classes.options(in[0])))
            .gives(in -> classes.losses(logSoftmax(in[0]), in[1]))
            .terms(in -> in[0].data().length)
            .widensHalf();
    return onLabels(spec, classes.reduction(), x -> x);
  }

  private static OpSpec probabilities(Classes classes) {
    OpSpec spec =
        OpSpec.op("Loss.crossEntropy(Tensor,Tensor,CrossEntropyOptions)")
            .variant("probabilities", classes)
            .apply(in -> Loss.crossEntropy(in[0], in[1], classes.options(in[0])))
            .gives(in -> classes.losses(logSoftmax(in[0]), in[1]))
            .terms(in -> in[0].data().length)
            .widensHalf();
    for (long[] dims :
        new long[][] {
          {3}, {1, 1}, {3, 4}, {2, 3, 4}, {3, 2, 2, 3}, {7, 10}, {2, 130}, {66, 5}, {2, 1}
        }) {
      spec.on(Operand.x(dims), Operand.x(dims).range(0, 1));
    }
    if (classes.reduction() != Reduction.MEAN) {
      spec.on(Operand.x(0, 3), Operand.x(0, 3));
    }
    return spec.on(Operand.x(4, 3).transposed(), Operand.x(4, 3).range(0, 1))
        .on(Operand.x(4, 3), Operand.x(4, 3).range(0, 1).sliced());
  }

  private static OpSpec nll(Classes classes) {
    boolean plain = classes.equals(new Classes(false, 0, false, Reduction.MEAN));
    OpSpec spec =
        OpSpec.op(plain ? "Loss.nll(Tensor,Tensor)" : "Loss.nll(Tensor,Tensor,CrossEntropyOptions)")
            .variant(classes)
            .apply(
                in ->
                    plain ? Loss.nll(in[0], in[1]) : Loss.nll(in[0], in[1], classes.options(in[0])))
            .gives(in -> classes.losses(in[0], in[1]))
            .terms(in -> in[0].data().length)
            .halfSteps(4);
    // Of one sign, as logarithms are: sums of rounded 16-bit terms would lose all digits else.
    return onLabels(spec, classes.reduction(), x -> x.range(-3, -0.1));
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    specs.addAll(
        pairs(
            "mse",
            "",
            "",
            (x, t, r) -> r == Reduction.MEAN ? Loss.mse(x, t) : Loss.mse(x, t, r),
            (x, t) -> (x - t) * (x - t),
            3));
    specs.addAll(
        pairs(
            "l1",
            "",
            "",
            (x, t, r) -> r == Reduction.MEAN ? Loss.l1(x, t) : Loss.l1(x, t, r),
            (x, t) -> Math.abs(x - t),
            2));
    specs.addAll(
        pairs(
            "huber",
            ",double",
            "",
            (x, t, r) -> r == Reduction.MEAN ? Loss.huber(x, t, DELTA) : Loss.huber(x, t, DELTA, r),
            (x, t) -> huber(x - t),
            6));
    specs.addAll(
        pairs(
            "bceWithLogits",
            "",
            ",Tensor,Tensor",
            (x, t, r) ->
                r == Reduction.MEAN
                    ? Loss.bceWithLogits(x, t)
                    : Loss.bceWithLogits(x, t, null, null, r),
            LossTest::logistic,
            8));
    for (Reduction reduction : Reduction.values()) {
      specs.add(weightedLogistic(reduction));
      specs.add(crossEntropy(new Classes(false, 0, false, reduction)));
      specs.add(crossEntropy(new Classes(true, 0.1, true, reduction)));
      specs.add(nll(new Classes(true, 0, true, reduction)));
      specs.add(probabilities(new Classes(true, 0.2, false, reduction)));
    }
    specs.add(crossEntropy(new Classes(false, 0.3, false, Reduction.MEAN)));
    specs.add(nll(new Classes(false, 0, false, Reduction.MEAN)));
    specs.add(refusals(probabilities(new Classes(false, 0, false, Reduction.MEAN))));
    return specs;
  }

  private static OpSpec refusals(OpSpec spec) {
    Tensor x = Tensor.ones(2, 3);
    Tensor two = Tensor.of(new long[] {0, 2});
    return spec.refuses(
            ArgumentException.class,
            "[crossEntropy] label 3 at position [1] is out of range: there are 3 classes",
            () -> Loss.crossEntropy(x, Tensor.of(new long[] {0, 3})))
        .refuses(
            ArgumentException.class,
            "[nll] label -1 at position [0, 1] is out of range",
            () -> Loss.nll(Tensor.ones(2, 2, 3), Tensor.of(new long[] {0, -1, 0, 0}, 2, 2)))
        .refuses(
            ShapeException.class,
            "[crossEntropy] labels [2, 1] do not fit",
            () -> Loss.crossEntropy(x, two.unsqueeze(1)))
        .refuses(
            ShapeException.class,
            "[crossEntropy] probabilities [2] must have the shape",
            () -> Loss.crossEntropy(x, Tensor.ones(2)))
        .refuses(
            ShapeException.class,
            "the class weights [2] must be a vector of the 3 classes",
            () -> Loss.crossEntropy(x, two, CrossEntropyOptions.defaults().weight(Tensor.ones(2))))
        .refuses(
            DTypeException.class,
            "[nll] labels must be integers",
            () -> Loss.nll(x, Tensor.ones(2)))
        .refuses(
            ArgumentException.class,
            "label smoothing 1.5 is not within 0 to 1",
            () -> CrossEntropyOptions.defaults().labelSmoothing(1.5))
        .refuses(
            ArgumentException.class,
            "[nll] label smoothing",
            () -> Loss.nll(x, two, CrossEntropyOptions.defaults().labelSmoothing(0.1)))
        .refuses(
            ArgumentException.class,
            "[huber] delta 0.0 must be positive",
            () -> Loss.huber(x, x, 0))
        .refuses(
            ShapeException.class,
            "have no classes",
            () -> Loss.crossEntropy(Tensor.ones(2, 0), two))
        .refuses(
            DTypeException.class,
            "[crossEntropy] logits are INT64",
            () -> Loss.crossEntropy(two, two));
  }

  @Test
  void defaultsAreTheMean() {
    Tensor a = Tensor.of(new float[] {1, 2, 4}, 1, 3);
    Tensor b = Tensor.of(new float[] {1, 4, 3}, 1, 3);
    assertEquals(5 / 3.0, Loss.mse(a, b).item(), 1e-6);
    assertEquals(1, Loss.l1(a, b).item(), 1e-6);
    assertEquals((1.5 + 0.5) / 3, Loss.huber(a, b, 1).item(), 1e-6);
    double bce = Math.log1p(Math.exp(-1000)) + 1000;
    Tensor far = Tensor.of(new float[] {1000, -1000});
    assertEquals(bce, Loss.bceWithLogits(far, Tensor.of(new float[] {0, 1})).item(), 1e-3);
    double expected = Math.log(Math.exp(-3) + Math.exp(-2) + 1) + 2;
    assertEquals(expected, Loss.crossEntropy(a, Tensor.of(new long[] {1})).item(), 1e-6);
    assertEquals(-2, Loss.nll(a, Tensor.of(new long[] {1})).item(), 1e-6);
  }

  @Test
  void logitsFarFromZeroKeepTheirDigits() {
    Tensor x = Tensor.of(new float[] {1e6f, 1e6f + 1}, 1, 2).requiresGrad(true);
    Tensor loss = Loss.crossEntropy(x, Tensor.of(new long[] {1}));
    assertEquals(Math.log1p(Math.exp(-1)), loss.item(), 1e-6);
    loss.backward();
    Tensor gradient = x.grad();
    assertTrue(gradient != null);
    assertEquals(1 / (1 + Math.E), gradient.toDoubles()[0], 1e-6);
  }

  @Test
  void theMeanOfNothingIsNan() {
    CrossEntropyOptions options = CrossEntropyOptions.defaults().ignoreIndex(0);
    Tensor loss = Loss.crossEntropy(Tensor.ones(2, 3), Tensor.of(new long[] {0, 0}), options);
    assertTrue(Double.isNaN(loss.item()));
  }

  @Test
  void lossesOfSixteenBitLogitsAreSingle() {
    Tensor x = Tensor.ones(2, 4).to(DType.FLOAT16).requiresGrad(true);
    Tensor loss = Loss.crossEntropy(x, Tensor.of(new long[] {1, 2}));
    assertEquals(DType.FLOAT32, loss.dtype());
    assertEquals(Math.log(4), loss.item(), 1e-6);
    loss.backward();
    Tensor gradient = x.grad();
    assertTrue(gradient != null && gradient.dtype() == DType.FLOAT16);
  }
}
