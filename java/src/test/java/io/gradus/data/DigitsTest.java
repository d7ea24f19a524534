package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

final class DigitsTest {
  @Test
  void aSampleDependsOnSeedAndNumberAlone() {
    ImageDataset few = (ImageDataset) Digits.open(20, 10, 3).train();
    ImageDataset many = (ImageDataset) Digits.open(200, 10, 3).train();
    ImageDataset other = (ImageDataset) Digits.open(20, 10, 4).train();
    for (int i = 0; i < few.size(); i++) {
      assertArrayEquals(few.pixels(i), many.pixels(i));
      assertFalse(Arrays.equals(few.pixels(i), other.pixels(i)));
    }
  }

  @Test
  void classesAreBalancedAndNamed() {
    TrainTest data = Digits.open(100, 50, 1);
    int[] counts = new int[10];
    for (int i = 0; i < 100; i++) {
      counts[data.train().label(i)]++;
    }
    assertArrayEquals(new int[] {10, 10, 10, 10, 10, 10, 10, 10, 10, 10}, counts);
    assertEquals(Shape.of(28, 28, 1), data.train().sampleShape());
    assertEquals("7", data.test().classNames().get(7));
    assertEquals("digits/test", data.test().name());
    assertThrows(ArgumentException.class, () -> Digits.open(0, 1, 1));
  }

  @Test
  void trainingAndTestSamplesDiffer() {
    TrainTest data = Digits.open(10, 10, 1);
    for (int i = 0; i < 10; i++) {
      assertFalse(Arrays.equals(Fixtures.sample(data.train(), i), Fixtures.sample(data.test(), i)));
    }
  }

  @Test
  void everyDigitHasInkAndStaysInside() {
    Dataset data = Digits.open(500, 1, 9).train();
    for (int n = 0; n < data.size(); n++) {
      float[] image = Fixtures.sample(data, n);
      int inked = 0;
      for (int i = 0; i < image.length; i++) {
        int x = i % 28;
        int y = i / 28;
        boolean ink = image[i] > 0.3f;
        inked += ink ? 1 : 0;
        assertTrue(!ink || (x > 0 && x < 27 && y > 0 && y < 27) || image[i] < 0.95f, "" + n);
      }
      assertTrue(inked > 12 && inked < 300, "sample " + n + " has " + inked + " inked pixels");
    }
  }

  /** The nearest training image tells most digits, but not all: learnable and not trivial. */
  @Test
  void nearestNeighbourIsRightMostOfTheTime() {
    TrainTest data = Digits.open(2000, 200, 2);
    float[][] train = new float[data.train().size()][];
    for (int i = 0; i < train.length; i++) {
      train[i] = Fixtures.sample(data.train(), i);
    }
    int right = 0;
    for (int t = 0; t < data.test().size(); t++) {
      float[] image = Fixtures.sample(data.test(), t);
      int best = 0;
      double nearest = Double.MAX_VALUE;
      for (int i = 0; i < train.length; i++) {
        double distance = 0;
        for (int k = 0; k < image.length; k++) {
          float d = image[k] - train[i][k];
          distance += d * d;
        }
        if (distance < nearest) {
          nearest = distance;
          best = i;
        }
      }
      right += data.train().label(best) == data.test().label(t) ? 1 : 0;
    }
    assertTrue(right > 160 && right < 200, "" + right);
  }
}
