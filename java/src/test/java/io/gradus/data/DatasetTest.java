package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

final class DatasetTest {
  @Test
  void imagesAreScaledToTheUnitInterval() {
    ImageDataset data =
        new ImageDataset(
            "two",
            Shape.of(1, 2, 1),
            List.of("a", "b"),
            new byte[] {0, 51, (byte) 255, (byte) 204},
            new int[] {1, 0});
    float[] out = {9, 9, 9, 9};
    data.read(1, out, 1);
    assertArrayEquals(new float[] {9, 1f, 0.8f, 9}, out);
    assertArrayEquals(new byte[] {(byte) 255, (byte) 204}, data.pixels(1));
    assertEquals(2, data.classes());
  }

  @Test
  void labelsOutOfRangeAndWrongCountsAreRefused() {
    ArgumentException label =
        assertThrows(
            ArgumentException.class,
            () ->
                new ImageDataset(
                    "d", Shape.of(1, 1, 1), List.of("a"), new byte[2], new int[] {0, 1}));
    assertEquals(
        "[dataset] sample 1 of d has label 1, out of range for 1 classes", label.getMessage());
    assertThrows(
        ShapeException.class,
        () ->
            new ImageDataset("d", Shape.of(1, 2, 1), List.of("a"), new byte[3], new int[] {0, 0}));
    assertThrows(
        ShapeException.class,
        () -> new TableDataset("d", List.of("f"), List.of("a"), new float[3], new int[] {0, 0}));
  }

  @Test
  void subsetsKeepOrderAndLabels() {
    Dataset some = Fixtures.numbered(10).subset(7, 2, 2);
    assertEquals(3, some.size());
    assertArrayEquals(new float[] {7, -7}, Fixtures.sample(some, 0));
    assertArrayEquals(new float[] {2, -2}, Fixtures.sample(some, 2));
    assertEquals(1, some.label(0));
    assertThrows(ArgumentException.class, () -> Fixtures.numbered(10).subset(10));
  }

  @Test
  void takeIsAFixedChoiceSpreadOverTheSet() {
    Dataset few = Fixtures.numbered(1000).take(100);
    Dataset again = Fixtures.numbered(1000).take(100);
    float last = -1;
    int lowHalf = 0;
    for (int i = 0; i < 100; i++) {
      float[] sample = Fixtures.sample(few, i);
      assertArrayEquals(sample, Fixtures.sample(again, i));
      assertTrue(sample[0] > last);
      last = sample[0];
      lowHalf += sample[0] < 500 ? 1 : 0;
    }
    assertTrue(lowHalf > 30 && lowHalf < 70, "" + lowHalf);
    assertThrows(ArgumentException.class, () -> Fixtures.numbered(5).take(6));
    assertThrows(ArgumentException.class, () -> Fixtures.numbered(5).take(0));
  }

  @Test
  void aSplitPartsAllSamplesAndFollowsItsSeed() {
    TrainTest parts = Fixtures.numbered(50).split(0.2, 5);
    assertEquals(40, parts.train().size());
    assertEquals(10, parts.test().size());
    TreeSet<Float> all = new TreeSet<>();
    for (Dataset part : List.of(parts.train(), parts.test())) {
      for (int i = 0; i < part.size(); i++) {
        all.add(Fixtures.sample(part, i)[0]);
      }
    }
    assertEquals(50, all.size());
    assertEquals(first10(parts), first10(Fixtures.numbered(50).split(0.2, 5)));
    assertTrue(!first10(parts).equals(first10(Fixtures.numbered(50).split(0.2, 6))));
    assertEquals(1, Fixtures.numbered(2).split(0.01, 0).test().size());
    assertThrows(ArgumentException.class, () -> Fixtures.numbered(1).split(0.5, 0));
    assertThrows(ArgumentException.class, () -> Fixtures.numbered(9).split(1, 0));
  }

  private static Set<Float> first10(TrainTest parts) {
    Set<Float> out = new TreeSet<>();
    for (int i = 0; i < 10; i++) {
      out.add(Fixtures.sample(parts.test(), i)[0]);
    }
    return out;
  }

  @Test
  void partsOfDifferentShapeDoNotPair() {
    TableDataset other =
        new TableDataset("o", List.of("f"), Labels.numbered(3), new float[1], new int[1]);
    assertThrows(ShapeException.class, () -> new TrainTest(Fixtures.numbered(3), other));
  }
}
