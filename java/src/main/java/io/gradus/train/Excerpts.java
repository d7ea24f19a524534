package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.core.Device;
import io.gradus.data.Batch;
import io.gradus.data.CharText;
import io.gradus.tensor.Tensor;
import java.util.Arrays;
import java.util.SplittableRandom;

/** Excerpts of a text for {@link CharGpt}: of its first nine tenths, or of the rest. */
final class Excerpts {
  private static final double TRAINING_SHARE = 0.9;

  private final int[] train;
  private final int[] test;
  private final int count;
  private final int length;
  private final Device device;

  /**
   * Excerpts.
   *
   * @param count excerpts of a batch
   * @param length characters of an excerpt
   * @throws io.gradus.core.ArgumentException when the text is too short
   */
  Excerpts(CharText text, int count, int length, Device device) {
    int[] tokens = text.tokens();
    int cut = (int) (tokens.length * TRAINING_SHARE);
    this.train = Arrays.copyOf(tokens, cut);
    this.test = Arrays.copyOfRange(tokens, cut, tokens.length);
    this.count = count;
    this.length = length;
    this.device = device;
    Checks.argument(
        Math.min(train.length, test.length) > length,
        "[char-gpt] %s has %d characters, of which a tenth must be more than the context of %d",
        text.name(),
        tokens.length,
        length);
  }

  /** A batch to learn from. */
  Batch train(int index, SplittableRandom places) {
    return batch(train, index, places);
  }

  /** A batch to test on. */
  Batch test(int index, SplittableRandom places) {
    return batch(test, index, places);
  }

  /** Excerpts and what follows each of their characters, both [count, length]. */
  private Batch batch(int[] tokens, int index, SplittableRandom places) {
    long[] x = new long[count * length];
    long[] y = new long[x.length];
    for (int b = 0; b < count; b++) {
      int from = places.nextInt(tokens.length - length);
      for (int i = 0; i < length; i++) {
        x[b * length + i] = tokens[from + i];
        y[b * length + i] = tokens[from + i + 1];
      }
    }
    return new Batch(
        index, Tensor.of(x, count, length).to(device), Tensor.of(y, count, length).to(device));
  }
}
