package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Group, instance and root-mean-square normalisation. */
class GroupNormTest extends OpTestCase {
  private static final double EPS = 1e-3;
  private static final String GROUP = "Norm.groupNorm(Tensor,long,Tensor,Tensor,double)";
  private static final String INSTANCE = "Norm.instanceNorm(Tensor,Tensor,Tensor,double)";
  private static final String RMS = "Norm.rmsNorm(Tensor,Tensor,double)";

  /** Every element by the mean and variance of its sample and group, one after the other. */
  private static Nd normalise(Nd x, long groups) {
    return Nd.generate(
        x.dims(),
        at -> {
          long size = x.dim(-1) / groups;
          long group = at[at.length - 1] / size;
          List<Double> values = new ArrayList<>();
          Nd.generate(
              x.dims(),
              i -> {
                if (i[0] == at[0] && i[i.length - 1] / size == group) {
                  values.add(x.at(i));
                }
                return 0;
              });
          double mean = values.stream().mapToDouble(v -> v).average().orElseThrow();
          double variance =
              values.stream().mapToDouble(v -> (v - mean) * (v - mean)).average().orElseThrow();
          return (x.at(at) - mean) / Math.sqrt(variance + EPS);
        });
  }

  private static Nd affine(Nd x, Nd weight, Nd bias) {
    return Nd.zip(Nd.zip(x, weight, (a, b) -> a * b), bias, (a, b) -> a + b);
  }

  private static Operand weight(long channels) {
    return Operand.x(channels).range(0.5, 1.5);
  }

  private static double terms(long groups, Nd... in) {
    return (double) in[0].data().length / Math.max(1, in[0].dim(0) * groups);
  }

  /** {@code groups} is 0 for instance normalisation, whose groups are the channels. */
  private static OpSpec grouped(long groups, boolean affine) {
    OpSpec spec =
        OpSpec.op(groups == 0 ? INSTANCE : GROUP)
            .variant(groups, affine ? "affine" : "without weight and bias")
            .apply(
                in -> {
                  Tensor w = affine ? in[1] : null;
                  Tensor b = affine ? in[2] : null;
                  return groups == 0
                      ? Norm.instanceNorm(in[0], w, b, EPS)
                      : Norm.groupNorm(in[0], groups, w, b, EPS);
                })
            .gives(
                in -> {
                  Nd y = normalise(in[0], groups == 0 ? in[0].dim(-1) : groups);
                  return affine ? affine(y, in[1], in[2]) : y;
                })
            // Groups of a few close values divide the rounding of the input by a small deviation.
            .loosen(4)
            .terms(in -> terms(groups == 0 ? in[0].dim(-1) : groups, in));
    long g = Math.max(1, groups);
    List<Operand> inputs = new ArrayList<>();
    for (long[] shape :
        new long[][] {
          {2, 3, 2 * g},
          {1, 2, 2, g},
          {3, 2 * g},
          {2, 3, 2, 3 * g},
          {0, 4, g},
          {2, 0, g},
          {1, 300, 2 * g},
          {2, 2, 3, 8 * g},
          {4, 1, 5 * g}
        }) {
      inputs.add(Operand.x(shape));
    }
    inputs.add(Operand.x(2, 4, 2 * g).transposed());
    inputs.add(Operand.x(2, 4, 2 * g).sliced());
    for (Operand x : inputs) {
      long c = x.dim(-1);
      Operand[] operands = {x, weight(c).sliced(), Operand.x(c)};
      spec.on(Arrays.copyOf(operands, affine ? 3 : 1));
    }
    return spec;
  }

  private static OpSpec rms(boolean weighted) {
    OpSpec spec =
        OpSpec.op(RMS)
            .variant(weighted ? "weighted" : "without weight")
            .apply(in -> Norm.rmsNorm(in[0], weighted ? in[1] : null, EPS))
            .gives(
                in -> {
                  Nd meanSquare =
                      in[0].reduce(
                          true,
                          values -> Arrays.stream(values).map(v -> v * v).sum() / values.length,
                          -1);
                  Nd y = Nd.zip(in[0], meanSquare, (a, b) -> a / Math.sqrt(b + EPS));
                  return weighted ? Nd.zip(y, in[1], (a, b) -> a * b) : y;
                })
            .loosen(4)
            .terms(in -> in[0].dim(-1));
    List<Operand> inputs = new ArrayList<>();
    for (long[] shape :
        new long[][] {
          {4}, {1}, {3, 5}, {2, 1}, {1, 7}, {2, 3, 4}, {0, 3}, {3, 700}, {20, 33}, {1, 1, 2, 6}
        }) {
      inputs.add(Operand.x(shape));
    }
    inputs.add(Operand.x(4, 6).transposed());
    inputs.add(Operand.x(4, 3).sliced());
    for (Operand x : inputs) {
      Operand[] operands = {x, weight(x.dim(-1)).sliced()};
      spec.on(Arrays.copyOf(operands, weighted ? 2 : 1));
    }
    return spec;
  }

  @Override
  protected List<OpSpec> specs() {
    Tensor x = Tensor.ones(2, 3, 4);
    Tensor c3 = Tensor.ones(3);
    return List.of(
        grouped(1, true),
        grouped(2, true)
            .refuses(
                ShapeException.class,
                "[groupNorm] 3 groups do not divide the 4 channels of x [2, 3, 4]",
                () -> Norm.groupNorm(x, 3, null, null, EPS))
            .refuses(
                ArgumentException.class,
                "[groupNorm] 0 groups",
                () -> Norm.groupNorm(x, 0, null, null, EPS))
            .refuses(
                ShapeException.class,
                "[groupNorm] x has 4 channels but weight has shape [3]",
                () -> Norm.groupNorm(x, 2, c3, null, EPS))
            .refuses(
                ShapeException.class,
                "[groupNorm] x has 4 channels but bias has shape [3]",
                () -> Norm.groupNorm(x, 2, null, c3, EPS))
            .refuses(
                ShapeException.class,
                "[groupNorm] x [3] needs a sample axis",
                () -> Norm.groupNorm(c3, 1, null, null, EPS)),
        grouped(3, false),
        grouped(0, true),
        grouped(0, false)
            .refuses(
                ShapeException.class,
                "[instanceNorm] x [3] needs a sample axis",
                () -> Norm.instanceNorm(c3, null, null, EPS))
            .refuses(
                DTypeException.class,
                "[instanceNorm] x is INT64",
                () -> Norm.instanceNorm(x.to(DType.INT64), null, null, EPS)),
        rms(true),
        rms(false)
            .refuses(
                ShapeException.class,
                "[rmsNorm] x is a scalar",
                () -> Norm.rmsNorm(Tensor.scalar(1), null, EPS))
            .refuses(
                ShapeException.class,
                "[rmsNorm] x has 4 channels but weight has shape [3]",
                () -> Norm.rmsNorm(x, c3, EPS)));
  }

  @Test
  void oneGroupOfOnePositionIsLayerNormalisation() {
    Tensor x = new Generator(3).normal(Tensor.ones(1).device(), DType.FLOAT64, shape(5, 8), 2, 3);
    assertArrayEquals(
        Norm.layerNorm(x, null, null, EPS).toDoubles(),
        Norm.groupNorm(x, 1, null, null, EPS).toDoubles(),
        1e-12);
  }

  private static Shape shape(long... dims) {
    return Shape.of(dims);
  }

  @Test
  void valuesFarFromZeroKeepTheirDigits() {
    double[] values = new double[2 * 3000];
    Arrays.setAll(values, i -> (i % 2 == 0 ? 10_000 : -20_000) + i / 2 % 2);
    Tensor x = Tensor.of(values, 1, 3000, 2).to(DType.FLOAT32);
    double[] y = Norm.instanceNorm(x, null, null, 0).toDoubles();
    Arrays.setAll(values, i -> i / 2 % 2 == 0 ? -1 : 1);
    assertArrayEquals(values, y, 1e-3);
  }

  @Test
  void sixteenBitInputTakesSinglePrecisionWeights() {
    Tensor x = Tensor.randn(2, 5, 4).to(DType.BFLOAT16);
    Tensor w = Tensor.ones(4).requiresGrad(true);
    Tensor y = Norm.groupNorm(x, 2, w, null, EPS).add(Norm.rmsNorm(x, w, EPS));
    assertEquals(DType.BFLOAT16, y.dtype());
    y.sum().backward();
    Tensor gradient = w.grad();
    assertEquals(DType.FLOAT32, gradient == null ? null : gradient.dtype());
  }
}
