package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ImageFolderTest {
  @TempDir Path dir;

  @Test
  void classesAndFilesAreReadInOrder() throws IOException {
    Fixtures.png(dir.resolve("train/b/2.png"), Fixtures.grey(2, 1, 3, 4));
    Fixtures.png(dir.resolve("train/b/1.png"), Fixtures.grey(2, 1, 1, 2));
    Fixtures.png(dir.resolve("train/a/9.png"), Fixtures.grey(2, 1, 5, 6));
    Fixtures.png(dir.resolve("test/b/1.png"), Fixtures.grey(2, 1, 7, 8));
    Files.writeString(dir.resolve("train/b/notes.txt"), "not an image");
    Files.writeString(dir.resolve("train/.hidden.png"), "not an image");
    TrainTest data = Datasets.open(dir);
    assertEquals(List.of("a", "b"), data.train().classNames());
    assertEquals(Shape.of(1, 2, 1), data.train().sampleShape());
    assertArrayEquals(new byte[] {5, 6}, ((ImageDataset) data.train()).pixels(0));
    assertArrayEquals(new byte[] {1, 2}, ((ImageDataset) data.train()).pixels(1));
    assertEquals(1, data.train().label(2));
    assertEquals(1, data.test().size());
    assertEquals(1, data.test().label(0));
  }

  @Test
  void oneFolderIsSplit() throws IOException {
    for (int i = 0; i < 10; i++) {
      Fixtures.png(dir.resolve("c" + i % 2 + "/" + i + ".png"), Fixtures.grey(1, 1, i));
    }
    TrainTest data = Datasets.open(dir);
    assertEquals(8, data.train().size());
    assertEquals(2, data.test().size());
  }

  @Test
  void anyColourMakesAllColour() throws IOException {
    Fixtures.png(dir.resolve("train/a/1.png"), Fixtures.grey(1, 1, 9));
    Fixtures.png(dir.resolve("train/a/2.png"), Fixtures.grey(1, 1, 8));
    Fixtures.png(dir.resolve("test/a/1.png"), Fixtures.colour(1, 1, 0x010203));
    TrainTest data = Datasets.open(dir);
    assertArrayEquals(new byte[] {9, 9, 9}, ((ImageDataset) data.train()).pixels(0));
    assertArrayEquals(new byte[] {1, 2, 3}, ((ImageDataset) data.test()).pixels(0));
  }

  @Test
  void theOddOneIsNamed() throws IOException {
    Fixtures.png(dir.resolve("train/a/1.png"), Fixtures.grey(2, 3, 9));
    Path odd = Fixtures.png(dir.resolve("train/b/odd.png"), Fixtures.grey(3, 3, 9));
    assertMessage("odd.png is 3x3 pixels but");
    Files.delete(odd);
    assertMessage("class folder " + odd.getParent() + " holds no image");
    Files.delete(odd.getParent());
    Path test = Fixtures.png(dir.resolve("test/a/1.png"), Fixtures.grey(2, 4, 9));
    assertMessage(test + " is 2x4 pixels but");
    Files.write(test, new byte[] {1, 2, 3});
    assertMessage(test + " is not a PNG");
    Files.delete(test);
    assertMessage("holds 0 images");
    Fixtures.png(dir.resolve("test/z/1.png"), Fixtures.grey(2, 3, 9));
    assertMessage("has no counterpart in");
  }

  private void assertMessage(String part) {
    FormatException e = assertThrows(FormatException.class, () -> Datasets.open(dir));
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }
}
