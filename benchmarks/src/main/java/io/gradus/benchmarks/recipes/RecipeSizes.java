package io.gradus.benchmarks.recipes;

import io.gradus.data.TrainTest;
import java.util.List;

/**
 * How large the recipe is.
 *
 * @param epochs how often the images are gone through
 * @param batch samples of a step
 * @param widths channels of the three groups
 * @param train images to train on, at most
 * @param test images to test on, at most
 */
record RecipeSizes(double epochs, int batch, List<Integer> widths, int train, int test) {
  /** The paper's. */
  static final RecipeSizes FULL =
      new RecipeSizes(9.9, 1024, List.of(64, 256, 256), Integer.MAX_VALUE, Integer.MAX_VALUE);

  /** Seconds on a processor. */
  static final RecipeSizes TRIAL = new RecipeSizes(2, 100, List.of(8, 16, 16), 1000, 500);

  /** As many of the images as are wanted. */
  TrainTest of(TrainTest data) {
    return new TrainTest(
        data.train().take(Math.min(train, data.train().size())),
        data.test().take(Math.min(test, data.test().size())));
  }
}
