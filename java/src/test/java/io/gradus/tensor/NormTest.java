package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Activation;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Device;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import io.gradus.testing.TestDevices;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Batch and layer normalisation. */
class NormTest extends OpTestCase {
  static final double EPS = 1e-3;
  private static final String BATCH =
      "Norm.batchNorm(Tensor,Tensor,Tensor,Tensor,Tensor,boolean,double,double)";
  private static final String FUSED =
      "Norm.batchNorm(Tensor,Tensor,Tensor,Tensor,Tensor,BatchNormOptions,Tensor)";
  private static final String LAYER = "Norm.layerNorm(Tensor,Tensor,Tensor,double)";

  private static double mean(double... values) {
    return Arrays.stream(values).sum() / values.length;
  }

  private static double variance(double... values) {
    double mean = mean(values);
    return Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum() / values.length;
  }

  private static Nd normalise(Nd x, Nd mean, Nd variance) {
    return Nd.zip(Nd.zip(x, mean, (a, b) -> a - b), variance, (a, b) -> a / Math.sqrt(b + EPS));
  }

  /** By the statistics of the elements along some axes. */
  static Nd normalise(Nd x, int... axes) {
    return normalise(
        x, x.reduce(true, NormTest::mean, axes), x.reduce(true, NormTest::variance, axes));
  }

  static Nd affine(Nd x, Nd weight, Nd bias) {
    return Nd.zip(Nd.zip(x, weight, (a, b) -> a * b), bias, (a, b) -> a + b);
  }

  static Nd activate(Activation activation, Nd x) {
    return activation == Activation.RELU ? x.map(v -> Math.max(0, v)) : x;
  }

  private static int[] allButLast(Nd x) {
    int[] axes = new int[x.rank() - 1];
    Arrays.setAll(axes, i -> i);
    return axes;
  }

  private static double rows(Nd... in) {
    return in[0].data().length / Math.max(1.0, (double) in[0].dim(-1));
  }

  /** Inputs in all shapes and layouts: a training batch has two values per channel or more. */
  private static List<Operand> batches() {
    List<Operand> out = new ArrayList<>();
    for (long[] shape :
        new long[][] {
          {4, 3},
          {5, 1},
          {2, 1},
          {3, 2, 2, 4},
          {2, 3, 5},
          {9, 70},
          {300, 2},
          {4, 3, 3, 17},
          {1, 9, 2},
          {3, 0}
        }) {
      out.add(Operand.x(shape));
    }
    out.add(Operand.x(6, 4).transposed());
    out.add(Operand.x(2, 4, 3).sliced());
    return out;
  }

  static Operand weight(long channels) {
    return Operand.x(channels).range(0.5, 1.5);
  }

  private static OpSpec training(Activation activation, boolean residual) {
    boolean fused = residual || activation != Activation.NONE;
    OpSpec spec =
        OpSpec.op(fused ? FUSED : BATCH)
            .variant("training", activation, residual ? "residual" : "alone")
            .apply(
                in ->
                    fused
                        ? Norm.batchNorm(
                            in[0],
                            in[1],
                            in[2],
                            null,
                            null,
                            new BatchNormOptions(true, 0.1, EPS, activation),
                            residual ? in[3] : null)
                        : Norm.batchNorm(in[0], in[1], in[2], null, null, true, 0.1, EPS))
            .gives(
                in -> {
                  Nd y = affine(normalise(in[0], allButLast(in[0])), in[1], in[2]);
                  return activate(activation, residual ? Nd.zip(y, in[3], (a, b) -> a + b) : y);
                })
            .terms(NormTest::rows);
    for (Operand x : batches()) {
      long c = x.dim(-1);
      Operand[] operands = {x, weight(c).sliced(), Operand.x(c), x};
      spec.on(Arrays.copyOf(operands, residual ? 4 : 3));
    }
    return spec;
  }

  private static OpSpec bare() {
    OpSpec spec =
        OpSpec.op(BATCH)
            .variant("without weight and bias")
            .apply(in -> Norm.batchNorm(in[0], null, null, null, null, true, 0.1, EPS))
            .gives(in -> normalise(in[0], allButLast(in[0])))
            .terms(NormTest::rows);
    for (Operand x : batches()) {
      spec.on(x.range(3, 5));
    }
    return spec;
  }

  private static OpSpec inference(Activation activation) {
    OpSpec spec =
        OpSpec.op(activation == Activation.NONE ? BATCH : FUSED)
            .variant("inference", activation)
            .apply(
                in ->
                    activation == Activation.NONE
                        ? Norm.batchNorm(in[0], in[1], in[2], in[3], in[4], false, 0.1, EPS)
                        : Norm.batchNorm(
                            in[0],
                            in[1],
                            in[2],
                            in[3],
                            in[4],
                            new BatchNormOptions(false, 0.1, EPS, activation),
                            null))
            .gives(
                in -> activate(activation, affine(normalise(in[0], in[3], in[4]), in[1], in[2])));
    List<Operand> inputs = batches();
    inputs.add(Operand.x(1, 3));
    inputs.add(Operand.x(0, 3));
    for (Operand x : inputs) {
      long c = x.dim(-1);
      spec.on(
          x,
          weight(c),
          Operand.x(c),
          Operand.x(c).constant(),
          Operand.x(c).range(0.3, 2).constant());
    }
    return spec;
  }

  private static OpSpec layer(boolean affine) {
    OpSpec spec =
        OpSpec.op(LAYER)
            .variant(affine ? "affine" : "without weight and bias")
            .apply(in -> Norm.layerNorm(in[0], affine ? in[1] : null, affine ? in[2] : null, EPS))
            .gives(
                in -> {
                  Nd y = normalise(in[0], -1);
                  return affine ? affine(y, in[1], in[2]) : y;
                })
            // Rows of a few close values divide the rounding of the input by a small deviation.
            .loosen(4)
            .terms(NormTest::rows);
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
      long c = x.dim(-1);
      Operand[] operands = {x, weight(c).sliced(), Operand.x(c)};
      spec.on(Arrays.copyOf(operands, affine ? 3 : 1));
    }
    return spec;
  }

  private static Tensor batchNorm(Tensor x, Tensor mean, Tensor var, boolean training) {
    return Norm.batchNorm(x, null, null, mean, var, training, 0.25, EPS);
  }

  @Override
  protected List<OpSpec> specs() {
    Tensor c3 = Tensor.ones(3);
    return List.of(
        bare(),
        training(Activation.NONE, false),
        training(Activation.RELU, false),
        training(Activation.NONE, true),
        training(Activation.RELU, true)
            .refuses(
                ShapeException.class,
                "one value per channel has no variance",
                () -> batchNorm(Tensor.ones(1, 3), c3, c3, true))
            .refuses(
                ShapeException.class,
                "the batch is empty",
                () -> batchNorm(Tensor.ones(0, 2, 3), c3, c3, true))
            .refuses(
                ShapeException.class,
                "[batchNorm] x has 4 channels but runningMean has shape [3]",
                () -> batchNorm(Tensor.ones(2, 4), c3, c3, true))
            .refuses(
                ShapeException.class,
                "[batchNorm] x has 3 channels but weight has shape [4]",
                () ->
                    Norm.batchNorm(
                        Tensor.ones(2, 3), Tensor.ones(4), null, null, null, true, 0.1, EPS))
            .refuses(
                ShapeException.class,
                "[batchNorm] residual [3] must have the shape of x [2, 3]",
                () ->
                    Norm.batchNorm(
                        Tensor.ones(2, 3),
                        null,
                        null,
                        null,
                        null,
                        BatchNormOptions.of(true, 0.1, EPS),
                        c3))
            .refuses(ShapeException.class, "at least two axes", () -> batchNorm(c3, c3, c3, true))
            .refuses(
                DTypeException.class,
                "[batchNorm] x is INT64",
                () -> batchNorm(Tensor.ones(2, 3).to(DType.INT64), c3, c3, true))
            .refuses(
                DTypeException.class,
                "runningMean is FLOAT64 but x is FLOAT32",
                () -> batchNorm(Tensor.ones(2, 3), c3.to(DType.FLOAT64), c3, true)),
        inference(Activation.NONE),
        inference(Activation.RELU)
            .refuses(
                ArgumentException.class,
                "the running statistics are needed",
                () -> Norm.batchNorm(Tensor.ones(2, 3), null, null, null, null, false, 0.1, EPS)),
        layer(true),
        layer(false)
            .refuses(
                ShapeException.class,
                "[layerNorm] x is a scalar",
                () -> Norm.layerNorm(Tensor.scalar(1), null, null, EPS))
            .refuses(
                ShapeException.class,
                "[layerNorm] x has 2 channels but weight has shape [3]",
                () -> Norm.layerNorm(Tensor.ones(4, 2), c3, null, EPS))
            .refuses(
                ShapeException.class,
                "[layerNorm] x has 2 channels but bias has shape [3]",
                () -> Norm.layerNorm(Tensor.ones(4, 2), null, c3, EPS)));
  }

  @Test
  void runningStatisticsMoveByMomentumWithTheUnbiasedVariance() {
    for (Device device : List.of(Device.cpu(), Device.reference(), TestDevices.primitives())) {
      for (DType dtype : List.of(DType.FLOAT32, DType.FLOAT64)) {
        String what = device + " " + dtype;
        Tensor mean = Tensor.of(new double[] {10, 20}).to(dtype).to(device);
        Tensor var = Tensor.of(new double[] {4, 8}).to(dtype).to(device);
        Tensor x = Tensor.of(new double[] {1, -2, 3, 2, 8, 6}, 3, 2).to(dtype).to(device);
        batchNorm(x, mean, var, true);
        // Channel 0 holds 1, 3, 8: mean 4, unbiased variance 13; channel 1 holds -2, 2, 6.
        assertArrayEquals(new double[] {8.5, 15.5}, mean.toDoubles(), 1e-6, what);
        assertArrayEquals(new double[] {6.25, 10}, var.toDoubles(), 1e-6, what);
        batchNorm(x, mean, var, false);
        assertArrayEquals(new double[] {8.5, 15.5}, mean.toDoubles(), 1e-6, what);
        assertArrayEquals(new double[] {6.25, 10}, var.toDoubles(), 1e-6, what);
      }
    }
  }

  @Test
  void aSecondBatchBeforeBackwardDoesNotDisturbTheFirst() {
    Tensor mean = Tensor.zeros(2);
    Tensor var = Tensor.ones(2);
    for (boolean training : new boolean[] {true, false}) {
      Tensor x = Tensor.of(new float[] {1, -2, 3, 2, 8, 6}, 3, 2).requiresGrad(true);
      Tensor loss = batchNorm(x, mean, var, training).square().sum();
      batchNorm(x.detach().mul(2), mean, var, true);
      loss.backward();
      Tensor gradient = x.grad();
      assertTrue(gradient != null && gradient.abs().sum().item() > 0);
    }
  }

  @Test
  void aMeanFarFromZeroLeavesTheVarianceItsDigits() {
    SplittableRandom random = new SplittableRandom(5);
    float[] values = new float[3 * 5000];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (10_000 + random.nextDouble());
    }
    Tensor mean = Tensor.zeros(3);
    Tensor var = Tensor.zeros(3);
    Norm.batchNorm(Tensor.of(values, 5000, 3), null, null, mean, var, true, 1, EPS);
    for (int c = 0; c < 3; c++) {
      double[] channel = new double[5000];
      for (int i = 0; i < channel.length; i++) {
        channel[i] = values[3 * i + c];
      }
      double expected = variance(channel) * 5000 / 4999;
      assertEquals(expected, var.toDoubles()[c], 1e-5 * expected);
    }
  }

  @Test
  void valuesFarFromZeroKeepTheirDigits() {
    double[] values = new double[512];
    Arrays.setAll(values, i -> 10_000 + i % 2);
    Tensor x = Tensor.of(values, 512, 1).to(DType.FLOAT32);
    double[] batch = Norm.batchNorm(x, null, null, null, null, true, 0.1, 0).toDoubles();
    double[] layer = Norm.layerNorm(x.reshape(1, 512), null, null, 0).toDoubles();
    Arrays.setAll(values, i -> i % 2 == 0 ? -1 : 1);
    assertArrayEquals(values, batch, 1e-3);
    assertArrayEquals(values, layer, 1e-3);
  }

  @Test
  void sixteenBitInputTakesSinglePrecisionWeights() {
    Tensor x = Tensor.randn(8, 3).to(DType.BFLOAT16);
    Tensor w = Tensor.ones(3).requiresGrad(true);
    Tensor y = Norm.batchNorm(x, w, null, Tensor.zeros(3), Tensor.ones(3), true, 0.1, EPS);
    assertEquals(DType.BFLOAT16, y.dtype());
    y.sum().backward();
    Tensor gradient = w.grad();
    assertEquals(DType.FLOAT32, gradient == null ? null : gradient.dtype());
  }
}
