package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Activation;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.Shape;
import io.gradus.optim.SGD;
import io.gradus.testing.TestDevices;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Gradients of FLOAT32 weights under 16-bit policies: sums of 16-bit products that nobody rounds to
 * 16 bits, computed where the optimizer keeps them. Operands are small multiples of powers of 2, so
 * that float32 holds every sum exactly.
 */
class WeightGradientTest {
  private static final int[][] SIZES = {
    {1, 1, 1}, {1, 5, 3}, {3, 1, 7}, {7, 5, 1}, {33, 17, 9}, {130, 66, 36}, {40, 4, 24}
  };

  private record Layer(double[] x, double[] g, int rows, int in, int out) {
    static Layer of(int[] size) {
      Random random = new Random(size[0] * 31L + size[1]);
      double[] x = numbers(random, size[0] * size[1]);
      double[] g = numbers(random, size[0] * size[2]);
      return new Layer(x, g, size[0], size[1], size[2]);
    }

    private static double[] numbers(Random random, int n) {
      return random.doubles(n).map(d -> Math.rint((d - 0.5) * 200) / 16).toArray();
    }

    /** The loss whose gradient of the output is g. */
    Tensor loss(Device device, Tensor weight, long... axes) {
      Tensor input = Tensor.of(x).to(device).to(DType.FLOAT32).reshape(axes);
      Tensor y = Linear.linear(input, weight, null, Activation.NONE);
      return y.mul(Tensor.of(g).to(device).to(DType.FLOAT32).reshape(y.shape().dims())).sum();
    }

    double[] gradient(double times) {
      double[] sum = new double[out * in];
      for (int r = 0; r < rows; r++) {
        for (int o = 0; o < out; o++) {
          for (int i = 0; i < in; i++) {
            sum[o * in + i] += times * g[r * out + o] * x[r * in + i];
          }
        }
      }
      return sum;
    }

    Tensor weight(Device device) {
      try (Scope s = Scope.open()) {
        return Scope.escape(Tensor.full(device, DType.FLOAT32, Shape.of(out, in), 0.5))
            .requiresGrad(true);
      }
    }
  }

  static Stream<Device> devices() {
    return Stream.concat(
        Stream.of(TestDevices.threads(1), TestDevices.threads(3)),
        Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device));
  }

  private static double[] grad(Tensor weight) {
    Tensor grad = weight.grad();
    assertNotNull(grad);
    assertEquals(DType.FLOAT32, grad.dtype());
    return grad.toDoubles();
  }

  private static final Precision[] HALVES = {Precision.BF16, Precision.FP16};

  @ParameterizedTest
  @MethodSource("devices")
  void theyAreNotRounded(Device device) {
    int wide = 0;
    for (Precision precision : HALVES) {
      for (int[] size : SIZES) {
        Layer layer = Layer.of(size);
        try (Scope s = Scope.open();
            Precision.Guard g = precision.use()) {
          Tensor weight = layer.weight(device);
          layer.loss(device, weight, layer.rows, layer.in).backward();
          assertArrayEquals(layer.gradient(1), grad(weight), precision + "");
          DType half = Precision.product(DType.FLOAT32);
          Tensor rounded = Tensor.of(layer.gradient(1)).to(half).to(DType.FLOAT64);
          wide += (int) rounded.ne(Tensor.of(layer.gradient(1))).to(DType.INT64).sum().item();
        }
      }
    }
    assertTrue(wide > 1000, "16 bits would do for the sums of this test");
  }

  @ParameterizedTest
  @MethodSource("devices")
  void theyAreComputedAndAddedUpInTheOptimizersMemory(Device device) {
    for (int[] size : SIZES) {
      Layer layer = Layer.of(size);
      try (Scope s = Scope.open();
          Precision.Guard g = Precision.BF16.use()) {
        Tensor weight = layer.weight(device);
        SGD optimizer = new SGD(List.of(weight), 0);
        layer.loss(device, weight, layer.rows, layer.in).backward();
        Tensor place = weight.grad();
        assertNotNull(place);
        for (int step = 1; step <= 2; step++) {
          optimizer.zeroGrad();
          for (int batch = 1; batch <= 3; batch++) {
            layer.loss(device, weight, 1, layer.rows, layer.in).backward();
            assertArrayEquals(layer.gradient(batch), grad(weight));
          }
        }
        Tensor now = weight.grad();
        assertNotNull(now);
        assertTrue(now.holds(place.memory()) && now.offset() == place.offset());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void usesOfOneWeightAddUp(Device device) {
    Layer layer = Layer.of(new int[] {6, 5, 3});
    try (Scope s = Scope.open();
        Precision.Guard g = Precision.FP16.use()) {
      Tensor weight = layer.weight(device);
      for (int backward = 1; backward <= 3; backward++) {
        Tensor once = layer.loss(device, weight, 6, 5);
        once.add(layer.loss(device, weight, 6, 5)).add(weight.mul(0).sum()).backward();
        assertArrayEquals(layer.gradient(2 * backward), grad(weight));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void aGraphOfGradientsHasThemToo(Device device) {
    Layer layer = Layer.of(new int[] {33, 17, 9});
    try (Scope s = Scope.open();
        Precision.Guard g = Precision.BF16.use()) {
      Tensor weight = layer.weight(device);
      Tensor loss = layer.loss(device, weight, 33, 17);
      loss.backward(false, true);
      assertArrayEquals(layer.gradient(1), grad(weight));
    }
  }

  private static final class Fails extends Function {
    Fails() {
      super("fails");
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      return new Tensor[] {in[0].copy()};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      throw new IllegalStateException("on purpose");
    }
  }

  /** x [2, size, size, channels], weights [outputs, kernel, kernel, channels / groups]. */
  private record Case(int size, int channels, int outputs, int kernel, Conv2dOptions options) {
    Tensor gradient(Device device, DType type) {
      Tensor x = numbers(device, type, 1, 2, size, size, channels);
      Tensor w = numbers(device, type, 2, outputs, kernel, kernel, channels / options.groups());
      Tensor weight = w.detach().requiresGrad(true);
      Tensor y = Conv.conv2d(x, weight, null, options);
      y.mul(numbers(device, type, 3, y.shape().dims())).sum().backward();
      Tensor grad = weight.grad();
      assertNotNull(grad);
      return grad;
    }

    private static Tensor numbers(Device device, DType type, int seed, long... dims) {
      double[] values = Layer.numbers(new Random(seed), (int) Shape.of(dims).numel());
      return Tensor.of(values).to(device).to(type).reshape(dims);
    }
  }

  private static final Case[] CASES = {
    new Case(1, 1, 1, 1, Conv2dOptions.of(1, 0)),
    new Case(7, 3, 5, 3, Conv2dOptions.of(2, 1)),
    new Case(6, 4, 6, 1, Conv2dOptions.of(1, 0)),
    new Case(6, 16, 17, 3, Conv2dOptions.of(1, 1)),
    new Case(5, 8, 8, 3, Conv2dOptions.of(1, 1).withGroups(8)),
    new Case(5, 6, 4, 2, Conv2dOptions.of(1, 0).withGroups(2))
  };

  @ParameterizedTest
  @MethodSource("devices")
  void thoseOfConvolutionsAreNotRounded(Device device) {
    for (Precision precision : HALVES) {
      for (Case each : CASES) {
        try (Scope s = Scope.open()) {
          double[] want = each.gradient(Device.reference(), DType.FLOAT64).toDoubles();
          Tensor got;
          try (Precision.Guard g = precision.use()) {
            got = each.gradient(device, DType.FLOAT32);
          }
          assertEquals(DType.FLOAT32, got.dtype());
          double most = Arrays.stream(want).map(Math::abs).max().orElseThrow();
          assertArrayEquals(want, got.toDoubles(), 1e-5 * most, each + " " + precision);
        }
      }
    }
  }

  /** A buffer that was lent to a backward that failed is free for the next one. */
  @ParameterizedTest
  @MethodSource("devices")
  void aBackwardThatFailsKeepsNothing(Device device) {
    Layer layer = Layer.of(new int[] {6, 5, 3});
    try (Scope s = Scope.open()) {
      Tensor weight = layer.weight(device);
      SGD optimizer = new SGD(List.of(weight), 0);
      for (int round = 0; round < 2; round++) {
        Tensor input =
            Tensor.of(layer.x).to(device).to(DType.FLOAT32).reshape(6, 5).requiresGrad(true);
        Tensor y = Linear.linear(new Fails().apply(input), weight, null);
        Tensor loss = y.mul(Tensor.of(layer.g).to(device).to(DType.FLOAT32).reshape(6, 3)).sum();
        assertThrows(IllegalStateException.class, loss::backward);
        optimizer.zeroGrad();
        for (int batch = 1; batch <= 2; batch++) {
          layer.loss(device, weight, 6, 5).backward();
          assertArrayEquals(layer.gradient(batch), grad(weight));
        }
      }
      Tensor input =
          Tensor.of(layer.x).to(device).to(DType.FLOAT32).reshape(6, 5).requiresGrad(true);
      Tensor y = Linear.linear(new Fails().apply(input), weight, null);
      assertThrows(IllegalStateException.class, () -> y.sum().backward());
      double[] left = grad(weight);
      layer.loss(device, weight, 6, 5).backward();
      double[] more = layer.gradient(1);
      for (int i = 0; i < more.length; i++) {
        assertEquals(left[i] + more[i], grad(weight)[i], "added, not stored");
      }
    }
  }

  /** A backward inside of a backward, of a weight that both use. */
  @ParameterizedTest
  @MethodSource("devices")
  void checkpointsMayShareAWeight(Device device) {
    try (Scope s = Scope.open()) {
      double[][] got = new double[2][];
      for (int i = 0; i < 2; i++) {
        Tensor weight = Tensor.arange(9).to(device).to(DType.FLOAT32).reshape(3, 3).detach();
        weight.requiresGrad(true);
        SGD optimizer = new SGD(List.of(weight), 0);
        UnaryOperator<Tensor> inner = x -> Linear.linear(x, weight, null);
        boolean isCheckpoint = i == 1;
        for (int step = 0; step < 2; step++) {
          optimizer.zeroGrad();
          for (int batch = 0; batch < 2; batch++) {
            Tensor x = Tensor.arange(6).to(device).to(DType.FLOAT32).reshape(2, 3);
            x = x.detach().requiresGrad(true);
            Tensor y =
                isCheckpoint
                    ? GradientCheckpoint.apply(in -> inner.apply(in[0]), x)
                    : inner.apply(x);
            inner.apply(y).sum().backward();
          }
        }
        got[i] = grad(weight);
      }
      assertArrayEquals(got[0], got[1]);
    }
  }
}
