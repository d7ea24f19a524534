package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** Anomaly mode names the first operation that made a NaN and the line that called it. */
class AnomalyModeTest {
  private static final String HERE = AnomalyModeTest.class.getSimpleName() + ".java:";

  private static int line() {
    return StackWalker.getInstance()
        .walk(frames -> frames.skip(1).findFirst().orElseThrow().getLineNumber());
  }

  @Test
  void namesTheOperationAndTheLine() {
    Tensor x = Tensor.of(new double[] {1, -1});
    int[] line = new int[1];
    AnomalyException e =
        assertThrows(
            AnomalyException.class,
            () -> {
              try (GradMode.Guard g = AnomalyMode.enable()) {
                Tensor shifted = x.add(0);
                line[0] = line() + 1;
                Tensor bad = shifted.log();
                bad.mul(2);
              }
            });
    assertTrue(e.getMessage().contains("[log] made a NaN"), e.getMessage());
    assertTrue(e.getMessage().contains(HERE + line[0]), e.getMessage());
    assertFalse(AnomalyMode.isEnabled());
  }

  @Test
  void namesTheForwardLineOfABackwardNaN() {
    // sqrt has an infinite slope at 0, which a zero gradient turns into NaN.
    Tensor x = Tensor.of(new double[] {0, 4}).requiresGrad(true);
    int[] line = new int[1];
    AnomalyException e =
        assertThrows(
            AnomalyException.class,
            () -> {
              try (GradMode.Guard g = AnomalyMode.enable()) {
                line[0] = line() + 1;
                Tensor root = x.sqrt();
                root.mul(Tensor.of(new double[] {0, 1})).sum().backward();
              }
            });
    assertTrue(e.getMessage().contains("[sqrt] made a NaN in the gradient"), e.getMessage());
    assertTrue(e.getMessage().contains(HERE + line[0]), e.getMessage());
  }

  @Test
  void saysNothingWhereAllIsWell() {
    Tensor x = Tensor.of(new double[] {1, 4}).requiresGrad(true);
    try (GradMode.Guard g = AnomalyMode.enable()) {
      x.sqrt().sum().backward();
      assertTrue(AnomalyMode.isEnabled());
    }
    assertEquals(0.25, x.grad().toDoubles()[1]);
  }

  @Test
  void isOffByDefault() {
    assertTrue(Double.isNaN(Tensor.of(new double[] {-1}).log().item()));
  }
}
