package io.gradus.data;

import io.gradus.core.FormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A text as numbers of its characters, for models that predict the next one. The vocabulary is the
 * text's own characters, in the order of Unicode.
 *
 * <pre>{@code
 * CharText text = CharText.open(Path.of("data/tinyshakespeare"));
 * int[] tokens = text.tokens();
 * }</pre>
 */
public final class CharText {
  private static final String FORMAT = "text";

  /** More would be another kind of model's. */
  private static final int MAX_BYTES = 64 << 20;

  private final String name;
  private final CharVocabulary vocabulary;
  private final int[] tokens;

  private CharText(String name, CharVocabulary vocabulary, int[] tokens) {
    this.name = name;
    this.vocabulary = vocabulary;
    this.tokens = tokens;
  }

  /**
   * A text in memory.
   *
   * @param name for messages
   * @throws FormatException when it has fewer than two characters or more than 2^14 different ones
   */
  public static CharText of(String name, String text) throws FormatException {
    long characters = text.codePoints().count();
    long kinds = text.codePoints().distinct().count();
    if (characters < 2 || kinds > CharVocabulary.MAX_SIZE) {
      throw new FormatException(
          String.format(
              "[%s] %s has %d characters, %d different ones: there must be 2 or more, and at most %d"
                  + " different ones",
              FORMAT, name, characters, kinds, CharVocabulary.MAX_SIZE));
    }
    CharVocabulary vocabulary = CharVocabulary.of(text);
    return new CharText(name, vocabulary, vocabulary.encode(text));
  }

  /**
   * Reads a file in UTF-8, plain, .gz or .xz; or {@code input.txt} of a folder.
   *
   * @throws FormatException when it is not such a text, or larger than 64 MiB
   * @throws IOException when it cannot be read
   */
  public static CharText open(Path path) throws IOException {
    Path file = path;
    if (Files.isDirectory(path)) {
      file = SourceFiles.find(path, "input.txt");
      if (file == null) {
        throw new FormatException(
            String.format(
                "[%s] %s lacks input.txt (plain, .gz or .xz): add it, or name a file",
                FORMAT, path));
      }
    }
    byte[] bytes = SourceFiles.read(FORMAT, file, in -> in.readNBytes(MAX_BYTES + 1));
    if (bytes.length > MAX_BYTES) {
      throw new FormatException(
          String.format("[%s] %s has more than %d bytes: cut it", FORMAT, file, MAX_BYTES));
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return of(SourceFiles.fileName(file), text);
    } catch (CharacterCodingException e) {
      throw new FormatException(
          String.format("[%s] %s is not in UTF-8 (%s): convert it", FORMAT, file, e.getMessage()),
          e);
    }
  }

  /** For messages, such as the file's name. */
  public String name() {
    return name;
  }

  /** The characters that occur. */
  public CharVocabulary vocabulary() {
    return vocabulary;
  }

  /** The text as numbers in the vocabulary. */
  public int[] tokens() {
    return tokens.clone();
  }
}
