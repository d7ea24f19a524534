package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.FormatException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
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
    byte[] packed = Fixtures.gzip("to be".getBytes(StandardCharsets.UTF_8));
    Files.write(folder.resolve("input.txt.gz"), packed);
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
  void damagedFilesGiveATextOrAnError() throws IOException {
    Random random = new Random(7);
    byte[] text = "to be, or not to be".getBytes(StandardCharsets.UTF_8);
    byte[] packed = Fixtures.gzip(text);
    int refused = 0;
    for (int i = 0; i < 300; i++) {
      boolean plain = i % 2 == 0;
      byte[] whole = plain ? text : packed;
      byte[] bytes = Arrays.copyOf(whole, i % 5 == 0 ? random.nextInt(whole.length) : whole.length);
      for (int changes = random.nextInt(3); changes > 0 && bytes.length > 0; changes--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      Path file = folder.resolve(plain ? "damaged.txt" : "damaged.gz");
      Files.write(file, bytes);
      try {
        assertTrue(CharText.open(file).vocabulary().size() > 0);
      } catch (FormatException e) {
        refused++;
        assertTrue(e.getMessage().startsWith("[text]"), e.getMessage());
      }
    }
    assertTrue(refused > 30 && refused < 270, refused + " were refused");
  }
}
