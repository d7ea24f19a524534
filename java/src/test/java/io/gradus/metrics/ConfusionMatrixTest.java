package io.gradus.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ArgumentException;
import io.gradus.core.ShapeException;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ConfusionMatrixTest {
  private static final long[] LABELS = {0, 0, 0, 0, 1, 1, 2, 2, 2, 2};
  private static final long[] PREDICTED = {0, 0, 0, 1, 1, 0, 2, 2, 1, 0};

  private static ConfusionMatrix matrix(int classes) {
    ConfusionMatrix matrix = new ConfusionMatrix(classes);
    matrix.update(Predictions.ofClasses(PREDICTED, classes, LABELS));
    return matrix;
  }

  @Test
  void rowsAreTrueClasses() {
    ConfusionMatrix m = matrix(3);
    long[][] expected = {{3, 1, 0}, {1, 1, 0}, {1, 1, 2}};
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 3; j++) {
        assertEquals(expected[i][j], m.count(i, j), i + ", " + j);
      }
    }
    assertEquals(10, m.count());
    assertEquals(4, m.support(2));
    assertEquals(5, m.predictedAs(0));
    assertEquals(0.6, m.value());
  }

  @Test
  void measuresByHand() {
    ConfusionMatrix m = matrix(3);
    assertEquals(3.0 / 5, m.precision(0));
    assertEquals(3.0 / 4, m.recall(0));
    assertEquals(2.0 / 3, m.f1(0), 1e-15);
    assertEquals(1.0 / 3, m.precision(1));
    assertEquals(1.0 / 2, m.recall(1));
    assertEquals(2.0 / 5, m.f1(1), 1e-15);
    assertEquals(1, m.precision(2));
    assertEquals((0.6 + 1.0 / 3 + 1) / 3, m.precision(Average.MACRO), 1e-15);
    assertEquals((4 * 0.6 + 2 * 1.0 / 3 + 4) / 10, m.precision(Average.WEIGHTED), 1e-15);
    assertEquals((0.75 + 0.5 + 0.5) / 3, m.recall(Average.MACRO), 1e-15);
    assertEquals(0.6, m.recall(Average.WEIGHTED), 1e-15);
    assertEquals((2.0 / 3 + 0.4 + 2.0 / 3) / 3, m.f1(Average.MACRO), 1e-15);
  }

  @Test
  void classesThatNeverOccurAreLeftOutAndZeroDenominatorsAreZero() {
    ConfusionMatrix m = matrix(5);
    assertEquals(matrix(3).f1(Average.MACRO), m.f1(Average.MACRO));
    assertEquals(0, m.precision(4));
    assertEquals(0, m.f1(4));

    ConfusionMatrix missed = new ConfusionMatrix(2);
    missed.update(Predictions.ofClasses(new long[] {0, 0}, 2, new long[] {0, 1}));
    assertEquals(0, missed.precision(1));
    assertEquals(0.25, missed.precision(Average.MACRO));
    assertEquals(0.5, missed.recall(Average.MACRO));
  }

  @Test
  void microAveragesEqualAccuracyAndWeightedRecallToo() {
    SplittableRandom random = new SplittableRandom(5);
    for (int round = 0; round < 100; round++) {
      int classes = 1 + random.nextInt(6);
      int n = 1 + random.nextInt(40);
      double[] scores = random.doubles(n * (long) classes).map(x -> Math.rint(4 * x)).toArray();
      long[] labels = random.longs(n, 0, classes).toArray();
      Predictions p = Predictions.of(scores, classes, labels);
      ConfusionMatrix m = new ConfusionMatrix(classes);
      m.update(p);
      Accuracy accuracy = new Accuracy();
      accuracy.update(p);
      assertEquals(accuracy.value(), m.value());
      assertEquals(accuracy.value(), m.precision(Average.MICRO));
      assertEquals(accuracy.value(), m.recall(Average.MICRO));
      assertEquals(accuracy.value(), m.f1(Average.MICRO));
      assertEquals(accuracy.value(), m.recall(Average.WEIGHTED), 1e-12);
      ClassMetric f1 = ClassMetric.f1(classes, Average.MACRO);
      f1.update(p);
      assertEquals(m.f1(Average.MACRO), f1.value());
      ClassMetric precision = ClassMetric.precision(classes, Average.WEIGHTED);
      precision.update(p);
      assertEquals(m.precision(Average.WEIGHTED), precision.value());
      ClassMetric recall = ClassMetric.recall(classes, Average.MACRO);
      recall.update(p);
      assertEquals(m.recall(Average.MACRO), recall.value());
      for (int c = 0; c < classes; c++) {
        double sum = m.precision(c) + m.recall(c);
        double harmonic = sum == 0 ? 0 : 2 * m.precision(c) * m.recall(c) / sum;
        assertEquals(harmonic, m.f1(c), 1e-12);
      }
    }
  }

  @Test
  void mergingAddsAndResettingForgets() {
    ConfusionMatrix sum = matrix(3);
    sum.merge(matrix(3));
    assertEquals(20, sum.count());
    assertEquals(2, sum.count(0, 1));
    assertEquals(0, sum.count(1, 2));
    sum.reset();
    assertEquals(0, sum.count());
    assertThrows(IllegalStateException.class, sum::value);
    assertThrows(IllegalStateException.class, () -> sum.f1(Average.MACRO));
    assertThrows(ShapeException.class, () -> sum.merge(matrix(4)));
    assertThrows(
        ShapeException.class, () -> sum.update(Predictions.ofClasses(new long[1], 2, new long[1])));
    assertThrows(ArgumentException.class, () -> sum.count(0, 3));
    assertThrows(ArgumentException.class, () -> new ConfusionMatrix(0));
  }

  @Test
  void theTableIsAligned() {
    ConfusionMatrix m = new ConfusionMatrix(List.of("cat", "parrot"));
    m.update(Predictions.ofClasses(new long[] {0, 1, 1}, 2, new long[] {0, 0, 1}));
    assertEquals(
        """
        true       cat  parrot
        cat          1       1
        parrot       0       1\
        """,
        m.toString());
  }
}
