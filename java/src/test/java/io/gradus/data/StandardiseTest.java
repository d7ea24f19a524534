package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ArgumentException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import java.util.List;
import org.junit.jupiter.api.Test;

final class StandardiseTest {
  @Test
  void learnsPerChannel() {
    ImageDataset data =
        new ImageDataset(
            "d",
            Shape.of(1, 2, 3),
            List.of("a"),
            new byte[] {0, 51, 9, 51, 51, 9, 102, 51, 9, (byte) 153, 51, 9},
            new int[2]);
    Standardise s = Standardise.learn(data);
    assertArrayEquals(new float[] {0.3f, 0.2f, 9 / 255f}, s.mean(), 1e-7f);
    assertArrayEquals(new float[] {(float) Math.sqrt(0.05), 1, 1}, s.std(), 1e-7f);
  }

  @Test
  void aLargeOffsetDoesNotDrownTheVariance() {
    float[] values = new float[2000];
    for (int i = 0; i < values.length; i++) {
      values[i] = 1_000_000 + i % 2;
    }
    Standardise s =
        Standardise.learn(new TableDataset("d", List.of("f"), List.of("a"), values, new int[2000]));
    assertEquals(0.5f, s.std()[0]);
    assertEquals(1_000_000.5f, s.mean()[0]);
  }

  @Test
  void appliesInPlaceToWholePixels() {
    Standardise s = new Standardise(new float[] {1, 10}, new float[] {2, 0.5f});
    float[] x = {7, 3, 10, 5, 11, 7};
    s.apply(x, 1, 5);
    assertArrayEquals(new float[] {7, 1, 0, 2, 2, 7}, x);
    assertThrows(ShapeException.class, () -> s.apply(x, 0, 3));
    assertThrows(ShapeException.class, () -> s.check(Shape.of(28, 28, 1)));
    s.check(Shape.of(4, 4, 2));
  }

  @Test
  void badStatisticsAreRefused() {
    assertThrows(ArgumentException.class, () -> new Standardise(new float[1], new float[] {1, 1}));
    assertThrows(ArgumentException.class, () -> new Standardise(new float[1], new float[] {0}));
    assertThrows(
        ArgumentException.class, () -> new Standardise(new float[] {Float.NaN}, new float[] {1}));
    TableDataset infinite =
        new TableDataset(
            "d", List.of("f"), List.of("a"), new float[] {1, Float.POSITIVE_INFINITY}, new int[2]);
    assertThrows(ArgumentException.class, () -> Standardise.learn(infinite));
  }

  @Test
  void equalityIsByValueAndArraysAreCopies() {
    Standardise s = new Standardise(new float[] {1}, new float[] {2});
    s.mean()[0] = 5;
    s.std()[0] = 5;
    assertEquals(new Standardise(new float[] {1}, new float[] {2}), s);
    assertEquals("Standardise[mean=[1.0], std=[2.0]]", s.toString());
  }
}
