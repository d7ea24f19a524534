package io.gradus.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ArgumentException;
import io.gradus.tensor.Tensor;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class ClipTest {
  private static Tensor withGrad(float... gradient) {
    Tensor p = Tensor.zeros(gradient.length).requiresGrad(true);
    p.setGrad(Tensor.of(gradient));
    return p;
  }

  private static float[] grad(Tensor p) {
    return Objects.requireNonNull(p.grad()).toFloats();
  }

  @Test
  void byValueLimitsEveryElement() {
    Tensor p = withGrad(-3, 0.5f, 2, Float.NaN);
    Clip.byValue(List.of(p, Tensor.zeros(2)), 1);
    assertArrayEquals(new float[] {-1, 0.5f, 1, Float.NaN}, grad(p));
  }

  @Test
  void byNormScalesAllByOneFactor() {
    Tensor p = withGrad(3, 0);
    Tensor q = withGrad(4);
    assertEquals(5, Clip.byNorm(List.of(p, q, Tensor.zeros(2)), 1).item(), 1e-12);
    assertArrayEquals(new float[] {0.6f, 0}, grad(p), 1e-6f);
    assertArrayEquals(new float[] {0.8f}, grad(q), 1e-6f);
  }

  @Test
  void byNormLeavesSmallGradientsBitForBit() {
    Tensor p = withGrad(0.1f, 0.3f);
    Clip.byNorm(List.of(p), 1);
    assertArrayEquals(new float[] {0.1f, 0.3f}, grad(p));
    assertEquals(0, Clip.byNorm(List.of(Tensor.zeros(2)), 1).item());
  }

  @Test
  void aNormThatIsNotFiniteCanBeAnError() {
    Tensor p = withGrad(1, Float.POSITIVE_INFINITY);
    assertThrows(ArgumentException.class, () -> Clip.byNorm(List.of(p), 1, true));
    assertArrayEquals(new float[] {1, Float.POSITIVE_INFINITY}, grad(p));
    assertThrows(ArgumentException.class, () -> Clip.byNorm(List.of(p), 0));
    assertThrows(ArgumentException.class, () -> Clip.byValue(List.of(p), -1));
  }

  @Test
  void penaltiesHaveTheirGradients() {
    Tensor p = Tensor.of(new double[] {1, -2}).requiresGrad(true);
    Tensor q = Tensor.of(new double[] {3}).requiresGrad(true);
    Tensor l1 = Penalties.l1(List.of(p, q), 0.5);
    assertEquals(3, l1.item(), 1e-15);
    l1.backward();
    assertArrayEquals(new double[] {0.5, -0.5}, Objects.requireNonNull(p.grad()).toDoubles());
    p.zeroGrad();
    Tensor l2 = Penalties.l2(List.of(p, q), 0.5);
    assertEquals(7, l2.item(), 1e-15);
    l2.backward();
    assertArrayEquals(new double[] {1, -2}, Objects.requireNonNull(p.grad()).toDoubles());
  }
}
