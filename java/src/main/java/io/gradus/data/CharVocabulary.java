package io.gradus.data;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import java.util.Arrays;

/** The characters of a text, numbered in the order of their code points. */
public final class CharVocabulary {
  /** More would be another kind of model's. */
  static final int MAX_SIZE = 1 << 14;

  private final int[] characters;

  private CharVocabulary(int[] characters) {
    this.characters = characters;
  }

  /**
   * The characters that occur in a text.
   *
   * @throws ArgumentException when there is none, or more than 2^14 different ones
   */
  public static CharVocabulary of(String text) {
    int[] characters = text.codePoints().distinct().sorted().toArray();
    Checks.argument(
        characters.length > 0 && characters.length <= MAX_SIZE,
        "[text] %d different characters: there must be 1 to %d",
        characters.length,
        MAX_SIZE);
    return new CharVocabulary(characters);
  }

  /** How many characters there are. */
  public int size() {
    return characters.length;
  }

  /** The characters in their order. */
  public String characters() {
    return new String(characters, 0, characters.length);
  }

  /**
   * A text as numbers.
   *
   * @throws ArgumentException when a character is not in the vocabulary
   */
  public int[] encode(String text) {
    int[] numbers = text.codePoints().toArray();
    for (int i = 0; i < numbers.length; i++) {
      int number = Arrays.binarySearch(characters, numbers[i]);
      Checks.argument(number >= 0, "[text] U+%04X is not in the vocabulary", numbers[i]);
      numbers[i] = number;
    }
    return numbers;
  }

  /**
   * Numbers as text.
   *
   * @throws IndexOutOfBoundsException when a number is not in the vocabulary
   */
  public String decode(int[] numbers) {
    StringBuilder text = new StringBuilder(numbers.length);
    for (int number : numbers) {
      text.appendCodePoint(characters[number]);
    }
    return text.toString();
  }
}
