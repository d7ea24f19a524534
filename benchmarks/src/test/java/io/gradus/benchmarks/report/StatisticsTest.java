package io.gradus.benchmarks.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;

class StatisticsTest {
  @Test
  void theMiddleOfAnOddNumberIsAValue() {
    assertEquals(new Statistics(2, 1, 9), Statistics.of(List.of(9.0, 1.0, 2.0)));
  }

  @Test
  void theMiddleOfAnEvenNumberIsBetweenTwo() {
    assertEquals(new Statistics(2.5, 1, 9), Statistics.of(List.of(9.0, 3.0, 1.0, 2.0)));
  }

  @Test
  void nothingHasNoMiddle() {
    assertThrows(IllegalArgumentException.class, () -> Statistics.of(List.of()));
  }

  @Test
  void readsAsText() {
    assertEquals("1.42 (1.40-1.45)", new Statistics(1.421, 1.399, 1.45).toString());
  }
}
