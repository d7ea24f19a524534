package io.gradus.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ShapeException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class BySubgroupTest {
  @Test
  void eachGroupSeesItsOwnSamples() {
    var metric = new BySubgroup<String, Predictions, Accuracy>(Accuracy::new);
    metric.update(
        Predictions.ofClasses(new long[] {0, 1, 1, 0}, 2, new long[] {0, 1, 0, 1}),
        List.of("b", "b", "a", "b"));
    metric.update(Predictions.ofClasses(new long[] {1}, 2, new long[] {1}), List.of("a"));
    assertEquals(List.of("a", "b"), new ArrayList<>(metric.groups().keySet()));
    assertEquals(0.5, metric.groups().get("a").value());
    assertEquals(2.0 / 3, metric.groups().get("b").value());
    assertEquals(0.6, metric.overall().value());
    assertEquals(2.0 / 3 - 0.5, metric.gap().getAsDouble(), 1e-15);
    metric.reset();
    assertEquals(OptionalDouble.empty(), metric.gap());
    assertEquals(0, metric.overall().count());
  }

  @Test
  void groupsWithoutAValueAreEmptyAndLeftOutOfTheGap() {
    var metric = new BySubgroup<Integer, Predictions, RocAuc>(() -> new RocAuc(2));
    metric.update(
        Predictions.ofBinary(new double[] {1, 2, 3, 2, 1}, new long[] {0, 1, 1, 0, 1}),
        List.of(10, 10, 2, 9, 9));
    assertEquals(List.of(2, 9, 10), new ArrayList<>(metric.values().keySet()));
    assertEquals(OptionalDouble.empty(), metric.values().get(2));
    assertEquals(OptionalDouble.of(0), metric.values().get(9));
    assertEquals(OptionalDouble.of(1), metric.values().get(10));
    assertEquals(OptionalDouble.of(1), metric.gap());
  }

  @Test
  void lossesHaveGroupsToo() {
    var metric = new BySubgroup<Long, Losses, MeanLoss>(MeanLoss::new);
    metric.update(Losses.of(1, 2, 6), List.of(7L, 7L, 8L));
    assertEquals(1.5, metric.groups().get(7L).value());
    assertEquals(4.5, metric.gap().getAsDouble());
    assertEquals(3, metric.overall().value());
  }

  @Test
  void oneGroupPerSample() {
    var metric = new BySubgroup<String, Losses, MeanLoss>(MeanLoss::new);
    assertThrows(ShapeException.class, () -> metric.update(Losses.of(1, 2), List.of("a")));
    assertEquals(OptionalDouble.empty(), metric.overall().optionalValue());
  }
}
