package io.gradus.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.nn.Initializers.Fan;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class InitializersTest {
  private static double deviation(Tensor t) {
    return Math.sqrt(Arrays.stream(t.toDoubles()).map(x -> x * x).average().orElse(0));
  }

  private static double largest(Tensor t) {
    return Arrays.stream(t.toDoubles()).map(Math::abs).max().orElse(0);
  }

  private static Tensor weight() {
    return Tensor.zeros(32, 3, 5, 16).requiresGrad(true);
  }

  @Test
  void fansFollowTheLayout() {
    assertEquals(7, Initializers.fan(Shape.of(5, 7), Fan.IN));
    assertEquals(5, Initializers.fan(Shape.of(5, 7), Fan.OUT));
    assertEquals(3 * 5 * 16, Initializers.fan(Shape.of(32, 3, 5, 16), Fan.IN));
    assertEquals(3 * 5 * 32, Initializers.fan(Shape.of(32, 3, 5, 16), Fan.OUT));
    assertThrows(ShapeException.class, () -> Initializers.fan(Shape.of(5), Fan.IN));
  }

  @Test
  void constantsFill() {
    Tensor t = Tensor.zeros(3).requiresGrad(true);
    assertArrayEquals(new float[] {7, 7, 7}, Initializers.constant(t, 7).toFloats());
    assertArrayEquals(new float[] {1, 1, 1}, Initializers.ones(t).toFloats());
    assertArrayEquals(new float[3], Initializers.zeros(t).toFloats());
  }

  @Test
  void deviationsAndBoundsAreThoseOfTheFormulas() {
    Generator.seed(4);
    double xavier = Math.sqrt(2.0 / (240 + 480));
    check(Initializers.xavierNormal(weight(), 1), xavier, Double.NaN);
    check(Initializers.xavierUniform(weight(), 2), 2 * xavier, 2 * xavier * Math.sqrt(3));
    double in = Math.sqrt(2.0 / 240);
    check(Initializers.kaimingNormal(weight(), Fan.IN, Initializers.GAIN_RELU), in, Double.NaN);
    double out = Initializers.GAIN_TANH / Math.sqrt(480);
    check(
        Initializers.kaimingUniform(weight(), Fan.OUT, Initializers.GAIN_TANH),
        out,
        out * Math.sqrt(3));
    check(new Conv2d(16, 32, 5).weight(), 0.05 / Math.sqrt(3), 0.05);
    check(new Linear(400, 200).weight(), 0.05 / Math.sqrt(3), 0.05);
    assertEquals(1, Initializers.gainLeakyRelu(1), 1e-15);
  }

  private static void check(Tensor t, double deviation, double bound) {
    assertEquals(deviation, deviation(t), 0.03 * deviation);
    if (!Double.isNaN(bound)) {
      assertTrue(largest(t) <= bound && largest(t) > 0.99 * bound);
    }
  }

  @Test
  void orthogonalRowsOrColumns() {
    for (long[] dims : new long[][] {{4, 9}, {9, 4}, {6, 6}, {5, 2, 2, 3}}) {
      Tensor t = Tensor.of(new double[(int) Shape.of(dims).numel()], dims);
      Initializers.orthogonal(t, 2, new Generator(8));
      Tensor flat = t.reshape(dims[0], -1);
      Tensor narrow = flat.size(0) <= flat.size(1) ? flat : flat.t();
      double[] gram = narrow.matmul(narrow.t()).toDoubles();
      int n = (int) narrow.size(0);
      for (int i = 0; i < gram.length; i++) {
        assertEquals(i / n == i % n ? 4 : 0, gram[i], 1e-12);
      }
    }
  }

  @Test
  void truncatedNormalsStayWithinTheirBounds() {
    Tensor t = Initializers.truncatedNormal(Tensor.zeros(20_000), 1, 2, -1, 3, new Generator(3));
    assertTrue(Arrays.stream(t.toDoubles()).allMatch(x -> -1 <= x && x <= 3));
    assertEquals(1, t.mean().item(), 0.03);
    // A standard normal within one deviation has the variance 1 - 2 phi(1) / 0.6826895.
    assertEquals(4 * 0.29112, t.variance().item(), 0.03);
    assertThrows(ArgumentException.class, () -> Initializers.truncatedNormal(t, 0, 1, 50, 60));
    assertThrows(ArgumentException.class, () -> Initializers.truncatedNormal(t, 0, 1, 1, -1));
  }

  @Test
  void quantilesOfTheNormalDistribution() {
    assertEquals(0, NormalQuantile.of(0.5));
    assertEquals(1.959963984540054, NormalQuantile.of(0.975), 1e-14);
    assertEquals(-3.090232306167813, NormalQuantile.of(0.001), 1e-14);
    assertEquals(-9.262340089798409, NormalQuantile.of(1e-20), 1e-13);
  }

  @Test
  void theSameSeedGivesTheSameWeights() {
    Generator.seed(6);
    float[] a = new Linear(5, 4).weight().toFloats();
    float[] next = new Linear(5, 4).weight().toFloats();
    Generator.seed(6);
    assertArrayEquals(a, new Linear(5, 4).weight().toFloats());
    assertTrue(!Arrays.equals(a, next));
    assertArrayEquals(
        Initializers.normal(Tensor.zeros(9), 0, 1, new Generator(1)).toFloats(),
        Initializers.normal(Tensor.zeros(9), 0, 1, new Generator(1)).toFloats());
  }
}
