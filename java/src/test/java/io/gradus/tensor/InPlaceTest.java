package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.DType;
import io.gradus.core.ShapeException;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** Changes in place: what they do, and what the graph says of them. */
class InPlaceTest {
  private static Tensor of(double... values) {
    return Tensor.of(values);
  }

  private static String fails(Runnable call) {
    return assertThrows(IllegalStateException.class, call::run).getMessage();
  }

  @Test
  void changesTheTensorAndReturnsIt() {
    Tensor x = of(1, 2, 3);
    assertSame(x, x.addInPlace(of(10, 20, 30)));
    assertArrayEquals(new double[] {11, 22, 33}, x.toDoubles());
    assertArrayEquals(new double[] {1, 2, 3}, x.subInPlace(of(10, 20, 30)).toDoubles());
    assertArrayEquals(new double[] {2, 4, 6}, x.mulInPlace(2).toDoubles());
    assertArrayEquals(new double[] {1, 3, 5}, x.addInPlace(-1).toDoubles());
    assertArrayEquals(new double[] {1, 9, 25}, x.mulInPlace(x).toDoubles());
    assertArrayEquals(new double[] {7, 7, 7}, x.copyFrom(of(7)).toDoubles());
    assertArrayEquals(new double[] {0.5, 0.5, 0.5}, x.fill(0.5).toDoubles());
  }

  @Test
  void changesViewsThatAreNotDense() {
    Tensor x = Tensor.of(new double[6], 2, 3);
    x.t().slice(0, 1, 2).addInPlace(5);
    assertArrayEquals(new double[] {0, 5, 0, 0, 5, 0}, x.toDoubles());
    x.slice(1, 0, 3, 2).copyFrom(Tensor.of(new double[] {1, 2, 3, 4}, 2, 2));
    assertArrayEquals(new double[] {1, 5, 2, 3, 5, 4}, x.toDoubles());
    x.t().slice(0, 2, 3).fill(9);
    assertArrayEquals(new double[] {1, 5, 9, 3, 5, 9}, x.toDoubles());
    x.t().mulInPlace(of(1, 10));
    assertArrayEquals(new double[] {1, 5, 9, 30, 50, 90}, x.toDoubles());
  }

  @Test
  void readsAnOverlappingSourceBeforeWriting() {
    Tensor x = of(1, 2, 3, 4);
    x.slice(0, 1, 4).copyFrom(x.slice(0, 0, 3));
    assertArrayEquals(new double[] {1, 1, 2, 3}, x.toDoubles());
    Tensor y = of(1, 2, 3, 4);
    y.slice(0, 1, 4).addInPlace(y.slice(0, 0, 3));
    assertArrayEquals(new double[] {1, 3, 5, 7}, y.toDoubles());
    Tensor m = Tensor.of(new double[] {1, 2, 3, 4}, 2, 2);
    m.copyFrom(m.t());
    assertArrayEquals(new double[] {1, 3, 2, 4}, m.toDoubles());
    m.addInPlace(m.t());
    assertArrayEquals(new double[] {2, 5, 5, 8}, m.toDoubles());
    m.mulInPlace(m.slice(0, 0, 1));
    assertArrayEquals(new double[] {4, 25, 10, 40}, m.toDoubles());
  }

  @Test
  void convertsTheSource() {
    Tensor x = Tensor.of(new float[] {0, 0});
    x.copyFrom(Tensor.of(new long[] {3, 4}));
    assertEquals(DType.FLOAT32, x.dtype());
    assertArrayEquals(new double[] {3, 4}, x.addInPlace(Tensor.of(new int[] {0, 0})).toDoubles());
  }

  @Test
  void refusesShapesThatDoNotFit() {
    Tensor x = of(1, 2);
    String message =
        assertThrows(ShapeException.class, () -> x.addInPlace(of(1, 2, 3))).getMessage();
    assertEquals("[addInPlace] shape [3] does not broadcast to [2]", message);
    assertThrows(ShapeException.class, () -> x.copyFrom(Tensor.ones(2, 2)));
  }

  @Test
  void refusesWhatRequiresAGradient() {
    Tensor x = of(1, 2).requiresGrad(true);
    assertTrue(fails(() -> x.addInPlace(1)).contains("[addInPlace]"));
    assertTrue(fails(() -> x.fill(1)).contains("GradMode.noGrad()"));
    assertTrue(fails(() -> x.copyFrom(of(1))).contains("[copyFrom]"));
    assertTrue(fails(() -> x.mul(2).mulInPlace(2)).contains("[mulInPlace]"));
    try (GradMode.Guard g = GradMode.noGrad()) {
      x.addInPlace(1);
    }
    assertArrayEquals(new double[] {2, 3}, x.toDoubles());
  }

  @Test
  void backwardNoticesThatASavedTensorChanged() {
    Tensor x = of(1, 2).requiresGrad(true);
    Tensor w = of(3, 4);
    Tensor y = x.mul(w).sum();
    w.fill(0);
    String message = fails(y::backward);
    assertTrue(message.contains("[mul] a tensor [2] saved for backward was changed"), message);
  }

  @Test
  void backwardNoticesAChangeThroughAView() {
    Tensor x = of(1, 2).requiresGrad(true);
    Tensor w = of(3, 4);
    Tensor y = x.mul(w).sum();
    w.slice(0, 0, 1).addInPlace(1);
    assertTrue(fails(y::backward).contains("changed in place"));
  }

  @Test
  void backwardNoticesThatASavedResultChanged() {
    Tensor x = of(1, 2).requiresGrad(true);
    Tensor y = x.exp();
    Tensor loss = y.sum();
    y.detach().fill(0);
    assertTrue(fails(loss::backward).contains("[exp]"));
  }

  @Test
  void changesBeforeSavingAndAfterBackwardAreFine() {
    Tensor x = of(1, 2).requiresGrad(true);
    Tensor w = of(3, 4);
    w.addInPlace(1);
    x.mul(w).sum().backward();
    w.fill(0);
    assertArrayEquals(new double[] {4, 5}, Objects.requireNonNull(x.grad()).toDoubles());
  }

  @Test
  void unsavedTensorsMayChange() {
    Tensor x = of(1, 2).requiresGrad(true);
    Tensor b = of(3, 4);
    Tensor y = x.add(b).sum();
    b.fill(0);
    y.backward();
    assertArrayEquals(new double[] {1, 1}, Objects.requireNonNull(x.grad()).toDoubles());
  }
}
