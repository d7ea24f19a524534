package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.Arrays;
import java.util.List;

/**
 * Labelled samples in host memory, read by number and safe to read from several threads at once.
 *
 * <p>Images have shape {@code [H, W, C]} and values on [0, 1]; table rows have shape {@code [F]}
 * and the values of the file.
 */
public interface Dataset {
  /** A short name for messages, such as {@code mnist/train}. */
  String name();

  /** Number of samples. */
  int size();

  /** Shape of one sample: {@code [H, W, C]} for images, {@code [F]} for table rows. */
  Shape sampleShape();

  /** Names of the classes; the label of a sample is an index into this list. */
  List<String> classNames();

  /** Number of classes. */
  default int classes() {
    return classNames().size();
  }

  /**
   * Class of a sample, from 0 to {@code classes() - 1}.
   *
   * @throws IndexOutOfBoundsException when there is no such sample
   */
  int label(int index);

  /**
   * Writes the values of a sample, in row-major order, to {@code out[at]} and following.
   *
   * @throws IndexOutOfBoundsException when there is no such sample or it does not fit into {@code
   *     out}
   */
  void read(int index, float[] out, int at);

  /**
   * The samples at the given positions, in that order, without copying them.
   *
   * @throws io.gradus.core.ArgumentException when a position is out of range
   */
  default Dataset subset(int... indices) {
    return new SubsetDataset(this, indices);
  }

  /**
   * A fixed choice of {@code count} samples, spread over the whole set and in its order; every call
   * with the same count chooses the same ones.
   *
   * @throws io.gradus.core.ArgumentException when {@code count} is below 1 or beyond the size
   */
  default Dataset take(int count) {
    Checks.argument(
        count >= 1 && count <= size(),
        "[dataset] a subset of %d samples was asked of %s: choose from 1 to %d",
        count,
        name(),
        size());
    int[] chosen = Arrays.copyOf(Permutation.of(size(), 0, 0), count);
    Arrays.sort(chosen);
    return subset(chosen);
  }

  /**
   * Parts the samples at random, by a seed, into one set for training and one for testing, each in
   * the order of this one.
   *
   * @param testFraction part that becomes the test set, strictly between 0 and 1; each side gets at
   *     least one sample
   * @throws io.gradus.core.ArgumentException when the fraction is out of range or there are fewer
   *     than two samples
   */
  default TrainTest split(double testFraction, long seed) {
    Checks.argument(
        testFraction > 0 && testFraction < 1,
        "[dataset] a test fraction lies between 0 and 1, not at %s",
        testFraction);
    Checks.argument(
        size() >= 2,
        "[dataset] %s has %d sample(s): a split into training and test set needs two or more",
        name(),
        size());
    int test = (int) Math.min(size() - 1L, Math.max(1L, Math.round(size() * testFraction)));
    int[] order = Permutation.of(size(), seed, 0);
    int[] testIndices = Arrays.copyOf(order, test);
    int[] trainIndices = Arrays.copyOfRange(order, test, size());
    Arrays.sort(testIndices);
    Arrays.sort(trainIndices);
    return new TrainTest(subset(trainIndices), subset(testIndices));
  }
}
