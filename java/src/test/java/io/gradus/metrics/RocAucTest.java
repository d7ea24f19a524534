package io.gradus.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.ShapeException;
import java.util.OptionalDouble;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class RocAucTest {
  private static double auc(double[] scores, long[] labels) {
    RocAuc metric = new RocAuc(2);
    metric.update(Predictions.ofBinary(scores, labels));
    return metric.value();
  }

  /** The definition: the share of ordered pairs, a tie being half of one. */
  private static double byPairs(double[] scores, long[] labels, int cls) {
    double ordered = 0;
    int pairs = 0;
    for (int i = 0; i < labels.length; i++) {
      for (int j = 0; j < labels.length; j++) {
        if (labels[i] == cls && labels[j] != cls) {
          pairs++;
          ordered += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
        }
      }
    }
    return ordered / pairs;
  }

  @Test
  void knownValues() {
    assertEquals(0.75, auc(new double[] {0.1, 0.4, 0.35, 0.8}, new long[] {0, 0, 1, 1}));
    assertEquals(1, auc(new double[] {-2, 5}, new long[] {0, 1}));
    assertEquals(0, auc(new double[] {-2, 5}, new long[] {1, 0}));
    assertEquals(0.5, auc(new double[] {0.0, -0.0}, new long[] {0, 1}));
    double inf = Double.POSITIVE_INFINITY;
    assertEquals(0.5, auc(new double[] {inf, inf, -inf, -inf}, new long[] {1, 0, 1, 0}));
  }

  @Test
  void equalsTheOrderOfPairsForAnySplitIntoBatches() {
    SplittableRandom random = new SplittableRandom(11);
    for (int round = 0; round < 200; round++) {
      int n = 2 + random.nextInt(50);
      int levels = 1 + random.nextInt(20);
      double[] scores = random.doubles(n).map(x -> Math.rint(levels * x)).toArray();
      long[] labels = random.longs(n, 0, 2).toArray();
      labels[0] = 0;
      labels[1] = 1;
      Predictions all = Predictions.ofBinary(scores, labels);
      RocAuc metric = new RocAuc(2);
      for (int i = 0; i < n; i++) {
        metric.update(all.select(new int[] {i}));
      }
      assertEquals(byPairs(scores, labels, 1), metric.value(), 1e-14);
      assertEquals(n, metric.count());
    }
  }

  @Test
  void moreClassesAreEachAgainstTheRestByProbability() {
    SplittableRandom random = new SplittableRandom(12);
    int n = 60;
    int classes = 4;
    double[] logits = random.doubles(n * (long) classes, -3, 3).toArray();
    long[] labels = random.longs(n, 0, classes - 1).toArray();
    RocAuc metric = new RocAuc(classes);
    metric.update(Predictions.of(logits, classes, labels));
    double mean = 0;
    for (int c = 0; c < classes - 1; c++) {
      double[] probability = new double[n];
      for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < classes; j++) {
          sum += Math.exp(logits[i * classes + j]);
        }
        probability[i] = Math.exp(logits[i * classes + c]) / sum;
      }
      double expected = byPairs(probability, labels, c);
      assertEquals(expected, metric.value(c).getAsDouble(), 1e-12);
      mean += expected / (classes - 1);
    }
    // The last class never occurs: it has no area and is left out of the mean.
    assertEquals(OptionalDouble.empty(), metric.value(classes - 1));
    assertEquals(mean, metric.value(), 1e-12);
  }

  @Test
  void largeLogitsDoNotSaturate() {
    assertEquals(1, auc(new double[] {800, 900}, new long[] {0, 1}));
    RocAuc metric = new RocAuc(3);
    metric.update(Predictions.of(new double[] {800, 0, 0, 900, 0, 0}, 3, new long[] {1, 0}));
    assertEquals(1, metric.value(0).getAsDouble());
  }

  @Test
  void oneClassAloneHasNoArea() {
    RocAuc metric = new RocAuc(2);
    assertFalse(metric.isDefined());
    metric.update(Predictions.ofBinary(new double[] {1, 2}, new long[] {1, 1}));
    assertFalse(metric.isDefined());
    assertEquals(OptionalDouble.empty(), metric.optionalValue());
    IllegalStateException e = assertThrows(IllegalStateException.class, metric::value);
    assertTrue(e.getMessage().contains("2 samples of one class"), e.getMessage());
    metric.update(Predictions.ofBinary(new double[] {0}, new long[] {0}));
    assertEquals(1, metric.value());
    metric.reset();
    assertFalse(metric.isDefined());
  }

  @Test
  void misuseIsTyped() {
    double inf = Double.POSITIVE_INFINITY;
    assertThrows(ArgumentException.class, () -> new RocAuc(1));
    assertThrows(
        ShapeException.class,
        () -> new RocAuc(3).update(Predictions.ofBinary(new double[1], new long[1])));
    assertThrows(
        ArgumentException.class,
        () -> new RocAuc(2).update(Predictions.of(new double[] {inf, inf}, 2, new long[1])));
    assertThrows(
        ArgumentException.class,
        () -> new RocAuc(2).update(Predictions.of(new double[] {-inf, -inf}, 2, new long[1])));
  }
}
