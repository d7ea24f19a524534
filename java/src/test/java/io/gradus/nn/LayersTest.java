package io.gradus.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.ConvTranspose2dOptions;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Tensor;
import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class LayersTest {
  private static final Tensor IMAGES =
      new Generator(5).normal(Device.cpu(), DType.FLOAT32, Shape.of(2, 6, 4, 3), 0, 1);

  private static Shape shape(Module m) {
    return m.forward(IMAGES).shape();
  }

  @Test
  void shapes() {
    assertEquals(Shape.of(2, 4, 2, 8), shape(new Conv2d(3, 8, 3)));
    assertEquals(
        Shape.of(2, 3, 2, 6),
        shape(new Conv2d(3, 6, 3, 3, Conv2dOptions.of(2, 1).withGroups(3), false)));
    assertEquals(
        Shape.of(2, 12, 8, 5),
        shape(new ConvTranspose2d(3, 5, 3, ConvTranspose2dOptions.of(2, 1, 1))));
    assertEquals(Shape.of(2, 3, 2, 3), shape(new MaxPool2d(2)));
    assertEquals(Shape.of(2, 3, 2, 3), shape(new AvgPool2d(3, 2, 1)));
    assertEquals(Shape.of(2, 2, 1, 3), shape(new AdaptiveAvgPool2d(2, 1)));
    assertEquals(Shape.of(2, 3), shape(new GlobalAvgPool2d()));
    assertEquals(Shape.of(2, 72), shape(new Flatten()));
    assertEquals(Shape.of(2, 6, 4, 5), shape(new Linear(3, 5)));
    assertEquals(Shape.of(2, 6, 4, 3), shape(new LayerNorm(3)));
    assertEquals(
        Shape.of(2, 5, 4), new Embedding(7, 4).forward(Tensor.of(new long[10], 2, 5)).shape());
  }

  @Test
  void linearMultipliesByTheTransposedWeight() {
    Linear layer = new Linear(2, 3);
    Initializers.zeros(layer.weight());
    layer.loadStateDict(
        Map.of(
            "weight",
            Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 3, 2),
            "bias",
            Tensor.of(new float[] {10, 20, 30})));
    assertArrayEquals(
        new float[] {9, 19, 29}, layer.forward(Tensor.of(new float[] {1, -1}, 1, 2)).toFloats());
  }

  @Test
  void aTransposedConvolutionSpreadsPixels() {
    ConvTranspose2d layer = new ConvTranspose2d(1, 1, 2, ConvTranspose2dOptions.of(2, 0, 0));
    layer.loadStateDict(
        Map.of(
            "weight",
            Tensor.of(new float[] {1, 2, 3, 4}, 1, 2, 2, 1),
            "bias",
            Tensor.of(new float[] {10})));
    Tensor y = layer.forward(Tensor.of(new float[] {1, -1}, 1, 1, 2, 1));
    assertArrayEquals(new float[] {11, 12, 9, 8, 13, 14, 7, 6}, y.toFloats());
    assertEquals("ConvTranspose2d(1, 1, kernel=2x2, stride=2x2, padding=0x0)", layer.toString());
  }

  @Test
  void activationsComputeTheirFunctions() {
    Tensor x = Tensor.of(new double[] {-1, 0.5});
    double e = Math.exp(-1);
    check(x, new ReLU(), 0, 0.5);
    check(x, new Identity(), -1, 0.5);
    check(x, new LeakyReLU(), -0.01, 0.5);
    check(x, new LeakyReLU(0.3), -0.3, 0.5);
    check(x, new ELU(), e - 1, 0.5);
    check(x, new ELU(2), 2 * (e - 1), 0.5);
    check(x, new Sigmoid(), e / (1 + e), 1 / (1 + Math.exp(-0.5)));
    check(x, new SiLU(), -e / (1 + e), 0.5 / (1 + Math.exp(-0.5)));
    check(x, new Tanh(), Math.tanh(-1), Math.tanh(0.5));
    check(x, new Softplus(), Math.log1p(e), Math.log1p(Math.exp(0.5)));
    check(x, new GELU(), -0.15865525393145707, 0.34573123063700656);
    check(x, new GELU(true), -0.15880800939172324, 0.34571400982514394);
    double s = 1 / (1 + Math.exp(1.5));
    check(x, new Softmax(), s, 1 - s);
    check(x, new Softmax(0), s, 1 - s);
  }

  private static void check(Tensor x, Module m, double... want) {
    assertArrayEquals(want, m.forward(x).toDoubles(), 1e-12, m.toString());
  }

  @Test
  void batchNormFollowsTheDataInTrainingOnly() {
    BatchNorm1d norm = new BatchNorm1d(1);
    Tensor x = Tensor.of(new float[] {1, 3}, 2, 1);
    assertArrayEquals(new float[] {-1, 1}, norm.forward(x).toFloats(), 1e-4f);
    assertEquals(0.2, norm.runningMean().item(), 1e-6);
    assertEquals(0.9 + 0.1 * 2, norm.runningVar().item(), 1e-6);
    norm.eval();
    double scale = Math.sqrt(1.1 + 1e-5);
    assertArrayEquals(new double[] {0.8 / scale, 2.8 / scale}, norm.forward(x).toDoubles(), 1e-5);
    assertEquals(0.2, norm.runningMean().item(), 1e-6);
    assertThrows(ShapeException.class, () -> norm.forward(Tensor.ones(1, 2, 3, 1)));
    assertThrows(ShapeException.class, () -> new BatchNorm2d(1).forward(x));
  }

  @Test
  void dropoutDropsInTrainingOnly() {
    Generator.seed(2);
    Tensor x = Tensor.ones(64, 5, 5, 2);
    float[] y = new Dropout(0.25).forward(x).toFloats();
    for (float v : y) {
      assertTrue(v == 0 || Math.abs(v - 4f / 3) < 1e-6);
    }
    double kept = 0;
    for (float v : y) {
      kept += v == 0 ? 0 : 1;
    }
    assertEquals(0.75, kept / y.length, 0.04);
    float[] channels = new Dropout2d(0.5).forward(x).toFloats();
    for (int i = 0; i < channels.length; i++) {
      int first = i / 50 * 50 + i % 2;
      assertEquals(channels[first], channels[i]);
    }
    assertFalse(Arrays.equals(channels, x.toFloats()));
    assertSame(x, new Dropout(0.25).eval().forward(x));
    assertThrows(ArgumentException.class, () -> new Dropout(1.5));
  }

  @Test
  void thePaddingVectorIsZeroAndStaysOut() {
    Embedding table = Embedding.withPadding(3, 2, 1);
    Tensor y = table.forward(Tensor.of(new long[] {0, 1, 2}));
    assertArrayEquals(new float[] {0, 0}, y.select(0, 1).toFloats());
    y.sum().backward();
    Tensor grad = Objects.requireNonNull(table.weight().grad());
    assertArrayEquals(new float[] {1, 1, 0, 0, 1, 1}, grad.toFloats());
    assertThrows(ArgumentException.class, () -> Embedding.withPadding(3, 2, 3));
  }

  @Test
  void badSettingsAreNamed() {
    assertThrows(ArgumentException.class, () -> new Linear(0, 3));
    assertThrows(
        ArgumentException.class, () -> new Conv2d(3, 4, 3, Conv2dOptions.of(1, 1).withGroups(2)));
    assertThrows(
        ArgumentException.class,
        () -> new ConvTranspose2d(3, 0, 3, ConvTranspose2dOptions.DEFAULT));
    assertThrows(ArgumentException.class, () -> new MaxPool2d(0));
    assertThrows(ArgumentException.class, () -> new BatchNorm2d(0));
    assertThrows(ArgumentException.class, () -> new AdaptiveAvgPool2d(0, 1));
    assertThrows(ArgumentException.class, () -> new Sequential().get(0));
  }
}
