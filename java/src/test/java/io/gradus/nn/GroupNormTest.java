package io.gradus.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The norms whose statistics do not depend on the batch. */
class GroupNormTest {
  private static final Tensor X = Tensor.of(new double[] {1, 10, 3, 30, 5, 50, 7, 70}, 1, 2, 2, 2);

  private static void check(Module norm, double... want) {
    assertArrayEquals(want, norm.forward(X).toDoubles(), 1e-4, norm.toString());
    assertArrayEquals(want, norm.eval().forward(X).toDoubles(), 1e-4, norm + " in evaluation");
  }

  private static Module with(Module norm, double weight, double bias) {
    Tensor w = Tensor.full(weight, 2);
    norm.loadStateDict(
        norm.stateDict().containsKey("bias")
            ? Map.of("weight", w, "bias", Tensor.full(bias, 2))
            : Map.of("weight", w));
    return norm.to(DType.FLOAT64);
  }

  @Test
  void channelsOfAnImageAreNormalisedAlone() {
    // 1, 3, 5, 7 have mean 4 and variance 5, and so ten times as large.
    double a = 1 / Math.sqrt(5);
    double[] want = {-3 * a, -3 * a, -a, -a, a, a, 3 * a, 3 * a};
    check(new InstanceNorm2d(2), want);
    double[] affine = Arrays.stream(want).map(v -> 2 * v + 1).toArray();
    check(with(new InstanceNorm2d(2, 1e-6, true), 2, 1), affine);
    check(with(new GroupNorm(2, 2, 1e-6), 2, 1), affine);
  }

  @Test
  void rowsAreDividedByTheirRootMeanSquare() {
    double a = 1 / Math.sqrt((1 + 100) / 2.0);
    double[] want = {a, 10 * a, a, 10 * a, a, 10 * a, a, 10 * a};
    check(with(new RmsNorm(2), 1, 0), want);
    check(with(new RmsNorm(2, 0), 1, 0), want);
  }

  @Test
  void parametersAreNamed() {
    assertEquals(List.of("weight", "bias"), List.copyOf(new GroupNorm(2, 4).stateDict().keySet()));
    assertEquals(List.of("weight"), List.copyOf(new RmsNorm(4).stateDict().keySet()));
    assertEquals(Map.of(), new InstanceNorm2d(4).stateDict());
    assertEquals("GroupNorm(2, 4)", new GroupNorm(2, 4).toString());
    assertEquals("InstanceNorm2d(4)", new InstanceNorm2d(4).toString());
    assertEquals("RmsNorm(4)", new RmsNorm(4).toString());
  }

  @Test
  void badSettingsAreNamed() {
    assertThrows(ArgumentException.class, () -> new GroupNorm(3, 4));
    assertThrows(ArgumentException.class, () -> new GroupNorm(0, 4));
    assertThrows(ArgumentException.class, () -> new GroupNorm(2, 4, -1));
    assertThrows(ArgumentException.class, () -> new InstanceNorm2d(0));
    assertThrows(ArgumentException.class, () -> new RmsNorm(0));
    assertThrows(ShapeException.class, () -> new InstanceNorm2d(3).forward(X));
    assertThrows(ShapeException.class, () -> new GroupNorm(1, 4).forward(X));
  }
}
