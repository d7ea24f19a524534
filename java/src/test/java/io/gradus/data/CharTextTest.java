package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.FormatException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CharTextTest {
  @TempDir private Path folder;

  @Test
  void charactersAreNumberedInOrder() throws IOException {
    CharText text = CharText.of("x", "ba\uD83D\uDE00ab");
    assertEquals(3, text.vocabulary().size());
    assertArrayEquals(new int[] {1, 0, 2, 0, 1}, text.tokens());
    assertEquals("ba\uD83D\uDE00ab", text.vocabulary().decode(text.tokens()));
    assertThrows(IndexOutOfBoundsException.class, () -> text.vocabulary().decode(new int[] {3}));
  }

  @Test
  void readsFilesAndFolders() throws IOException {
    Path plain = folder.resolve("some.txt");
    Files.writeString(plain, "abc\u00e9");
    assertEquals(4, CharText.open(plain).tokens().length);
    assertEquals("some.txt", CharText.open(plain).name());
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(bytes)) {
      gzip.write("to be".getBytes(StandardCharsets.UTF_8));
    }
    Files.write(folder.resolve("input.txt.gz"), bytes.toByteArray());
    CharText text = CharText.open(folder);
    assertEquals("to be", text.vocabulary().decode(text.tokens()));
  }

  @Test
  void whatIsNoTextIsRefused() throws IOException {
    FormatException none = assertThrows(FormatException.class, () -> CharText.open(folder));
    assertTrue(none.getMessage().contains("lacks input.txt"), none.getMessage());
    assertThrows(NoSuchFileException.class, () -> CharText.open(folder.resolve("nothing")));
    Path file = folder.resolve("input.txt");
    Files.write(file, new byte[] {'a', (byte) 0xC3});
    assertThrows(FormatException.class, () -> CharText.open(file));
    Files.writeString(file, "a");
    assertThrows(FormatException.class, () -> CharText.open(folder));
    StringBuilder all = new StringBuilder();
    for (int c = 0x4E00; c < 0x4E00 + (1 << 14) + 1; c++) {
      all.append((char) c);
    }
    assertThrows(FormatException.class, () -> CharText.of("all", all.toString()));
  }

  @Test
  void anyBytesGiveATextOrAnError() throws IOException {
    Random random = new Random(7);
    Path file = folder.resolve("fuzz.gz");
    for (int i = 0; i < 300; i++) {
      byte[] bytes = new byte[random.nextInt(60)];
      random.nextBytes(bytes);
      if (i % 2 == 0 && bytes.length > 3) {
        bytes[0] = 0x1f;
        bytes[1] = (byte) 0x8b;
        bytes[2] = 8;
      }
      Path target = i % 3 == 0 ? folder.resolve("fuzz.txt") : file;
      Files.write(target, bytes);
      try {
        assertTrue(CharText.open(target).vocabulary().size() > 0);
      } catch (FormatException e) {
        assertTrue(e.getMessage().startsWith("[text]"), e.getMessage());
      }
    }
  }
}
