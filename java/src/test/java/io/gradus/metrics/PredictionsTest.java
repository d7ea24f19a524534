package io.gradus.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Tensor;
import org.junit.jupiter.api.Test;

class PredictionsTest {
  @Test
  void theFirstOfEqualScoresIsPredicted() {
    Predictions p =
        Predictions.of(
            new double[] {1, 3, 3, /**/ 2, 2, 2, /**/ Double.NEGATIVE_INFINITY, -5, -4},
            3,
            new long[] {2, 2, 0});
    assertEquals(1, p.predicted(0));
    assertEquals(0, p.predicted(1));
    assertEquals(2, p.predicted(2));
    assertEquals(1, p.rankOfLabel(0));
    assertEquals(2, p.rankOfLabel(1));
    assertEquals(2, p.rankOfLabel(2));
  }

  @Test
  void tensorsOfEveryFloatingTypeAreTaken() {
    Tensor labels = Tensor.of(new long[] {1, 0});
    for (DType dtype : DType.values()) {
      Tensor logits = Tensor.of(new float[] {1, 2, 4, 3}, 2, 2).to(dtype);
      if (dtype.isFloating()) {
        Predictions p = Predictions.of(logits, labels);
        assertEquals(2, p.size());
        assertEquals(2, p.classes());
        assertEquals(4, p.score(1, 0));
        assertEquals(1, p.label(0));
      } else {
        assertThrows(DTypeException.class, () -> Predictions.of(logits, labels));
      }
    }
  }

  @Test
  void oneOutputPerSampleMeansTwoClasses() {
    Tensor labels = Tensor.of(new long[] {1, 0, 0});
    Tensor logits = Tensor.of(new float[] {0.5f, -1, 0});
    for (Tensor x : new Tensor[] {logits, logits.reshape(3, 1)}) {
      Predictions p = Predictions.ofBinary(x, labels);
      assertEquals(1, p.predicted(0));
      assertEquals(0, p.predicted(1));
      assertEquals(0, p.predicted(2));
    }
  }

  @Test
  void misfitsAreTypedErrors() {
    Tensor logits = Tensor.zeros(2, 3);
    assertThrows(ShapeException.class, () -> Predictions.of(Tensor.zeros(6), Tensor.arange(2)));
    assertThrows(ShapeException.class, () -> Predictions.of(logits, Tensor.arange(3)));
    assertThrows(
        ShapeException.class, () -> Predictions.of(logits, Tensor.arange(2).reshape(2, 1)));
    assertThrows(DTypeException.class, () -> Predictions.of(logits, Tensor.zeros(2)));
    assertThrows(
        ShapeException.class, () -> Predictions.ofBinary(Tensor.zeros(2, 2), Tensor.arange(2)));
    assertThrows(ShapeException.class, () -> Predictions.of(new double[5], 3, new long[2]));
    assertThrows(ArgumentException.class, () -> Predictions.of(new double[0], 0, new long[0]));
    assertThrows(
        ArgumentException.class, () -> Predictions.ofClasses(new long[] {3}, 3, new long[] {0}));
  }

  @Test
  void labelsOutOfRangeAndNanAreNamed() {
    Tensor logits = Tensor.zeros(2, 3);
    ArgumentException high =
        assertThrows(
            ArgumentException.class, () -> Predictions.of(logits, Tensor.of(new long[] {0, 3})));
    assertEquals(
        "[predictions] label 3 of sample 1 is out of range for 3 classes (valid: 0 to 2)",
        high.getMessage());
    assertThrows(
        ArgumentException.class, () -> Predictions.of(logits, Tensor.of(new long[] {-1, 0})));
    ArgumentException nan =
        assertThrows(
            ArgumentException.class,
            () -> Predictions.of(new double[] {0, 1, 2, Double.NaN}, 2, new long[2]));
    assertTrue(nan.getMessage().contains("sample 1 for class 1 is NaN"), nan.getMessage());
  }

  @Test
  void selectionKeepsRowsTogether() {
    Predictions p = Predictions.of(new double[] {1, 2, 3, 4, 5, 6}, 2, new long[] {0, 1, 0});
    Predictions s = p.select(new int[] {2, 1, 2});
    assertEquals(3, s.size());
    assertEquals(6, s.score(0, 1));
    assertEquals(1, s.label(1));
    assertEquals(5, s.score(2, 0));
    assertThrows(ArgumentException.class, () -> p.select(new int[] {3}));
  }
}
