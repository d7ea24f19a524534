package io.gradus.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ArgumentException;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class AccuracyTest {
  private static final Predictions FOUR =
      Predictions.of(new double[] {9, 1, 2, 1, 9, 2, 3, 2, 1, 0, 0, 0}, 3, new long[] {0, 2, 2, 1});

  @Test
  void countsTheFirstOfTheHighest() {
    Accuracy accuracy = new Accuracy();
    accuracy.update(FOUR);
    assertEquals(0.25, accuracy.value());
    accuracy.update(Predictions.ofClasses(new long[] {1}, 2, new long[] {1}));
    assertEquals(0.4, accuracy.value());
    assertEquals(5, accuracy.count());
    assertEquals(2, accuracy.correct());
  }

  @Test
  void topK() {
    double[] expected = {0.25, 0.75, 1};
    for (int k = 1; k <= 3; k++) {
      TopKAccuracy metric = new TopKAccuracy(k);
      metric.update(FOUR);
      assertEquals(expected[k - 1], metric.value(), "k = " + k);
    }
    assertThrows(ArgumentException.class, () -> new TopKAccuracy(4).update(FOUR));
    assertThrows(ArgumentException.class, () -> new TopKAccuracy(0));
  }

  @Test
  void withoutSamplesThereIsNoValue() {
    Accuracy accuracy = new Accuracy();
    accuracy.update(FOUR.select(new int[0]));
    assertFalse(accuracy.isDefined());
    assertThrows(IllegalStateException.class, accuracy::value);
    accuracy.update(FOUR);
    accuracy.reset();
    assertEquals(OptionalDouble.empty(), accuracy.optionalValue());
  }

  @Test
  void meanLossWeighsBatchesBySize() {
    MeanLoss loss = new MeanLoss();
    assertThrows(IllegalStateException.class, loss::value);
    loss.update(2.0, 3);
    loss.update(Losses.of(6, 4));
    assertEquals((2.0 * 3 + 6 + 4) / 5, loss.value(), 1e-15);
    loss.update(Losses.of(new double[] {100, Double.NaN}, new double[] {0.5, 0}));
    assertEquals((16 + 50) / 5.5, loss.value(), 1e-14);
    assertEquals(5.5, loss.weight());
    loss.update(Double.NaN, 1);
    assertEquals(Double.NaN, loss.value());
    loss.reset();
    assertFalse(loss.isDefined());
    assertThrows(ArgumentException.class, () -> loss.update(1, -1));
    assertThrows(
        ArgumentException.class, () -> Losses.of(new double[] {1}, new double[] {Double.NaN}));
  }
}
