package io.gradus.benchmarks.libraries;

import java.util.Arrays;
import java.util.List;

/**
 * A kernel as a worker is told it, {@code NAME WORD... TYPE}, such as {@code matmul NT 64 32 16
 * bfloat16}.
 *
 * @param name what is computed
 * @param words sizes, and other words where the kernel has such
 * @param type float32, tf32, bfloat16 or float16
 */
public record KernelSpec(String name, List<String> words, String type) {
  private static final int LEAST_WORDS = 3;

  /**
   * Reads a line.
   *
   * @throws IllegalArgumentException when it is too short
   */
  public static KernelSpec parse(String line) {
    List<String> all = Arrays.asList(line.split(" ", -1));
    if (all.size() < LEAST_WORDS) {
      throw new IllegalArgumentException("'" + line + "' is no kernel");
    }
    int last = all.size() - 1;
    return new KernelSpec(all.get(0), List.copyOf(all.subList(1, last)), all.get(last));
  }

  /**
   * The word at an index.
   *
   * @throws IllegalArgumentException when there is none
   */
  public String word(int index) {
    if (index >= words.size()) {
      throw new IllegalArgumentException(name + " has no word " + index + ": " + words);
    }
    return words.get(index);
  }

  /**
   * The number at an index.
   *
   * @throws IllegalArgumentException when there is none
   */
  public int number(int index) {
    return Integer.parseInt(word(index));
  }

  /** The bytes of an element: TF32 is how float32 is multiplied. */
  public int bytes() {
    return type.endsWith("16") ? Short.BYTES : Float.BYTES;
  }
}
