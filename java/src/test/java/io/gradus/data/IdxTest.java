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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class IdxTest {
  @TempDir Path dir;

  @Test
  void readsBothNamingsPlainAndCompressed() throws IOException {
    Fixtures.idxFolder(dir);
    TrainTest data = Datasets.open(dir);
    assertEquals(Shape.of(2, 4, 1), data.train().sampleShape());
    assertEquals(3, data.train().size());
    assertEquals(2, data.test().size());
    assertEquals(10, data.train().classes());
    assertEquals(7, data.train().label(0));
    assertEquals(9, data.test().label(1));
    assertArrayEquals(
        new byte[] {8, 9, 10, 11, 12, 13, 14, 15}, ((ImageDataset) data.train()).pixels(1));
  }

  @Test
  void fashionFoldersHaveTheirNames() throws IOException {
    Path fashion = Files.createDirectory(dir.resolve("fashion-mnist"));
    Fixtures.idxFolder(fashion);
    assertEquals("Ankle boot", Datasets.open(fashion).test().classNames().get(9));
  }

  @Test
  void moreThanTenClassesNeedEveryOne() throws IOException {
    Path images = Files.write(dir.resolve("i"), Fixtures.idxImages(12, 1, 1));
    Path all =
        Files.write(dir.resolve("all"), Fixtures.idxLabels(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    assertEquals(12, Datasets.idx(images, all).classes());
    Path gap =
        Files.write(dir.resolve("gap"), Fixtures.idxLabels(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200));
    assertMessage(images, gap, "gap: sample 11 has label 200, out of range for 11 classes");
  }

  @Test
  void testLabelsBeyondTheTrainingClassesAreRefused() throws IOException {
    Fixtures.idxFolder(dir);
    Files.write(dir.resolve("t10k-labels.idx1-ubyte"), Fixtures.idxLabels(1, 10));
    FormatException e = assertThrows(FormatException.class, () -> Datasets.open(dir));
    assertTrue(e.getMessage().contains("sample 1 has label 10"), e.getMessage());
  }

  @Test
  void damageIsNamed() throws IOException {
    Path labels = Files.write(dir.resolve("labels"), Fixtures.idxLabels(1, 2));
    Path good = Files.write(dir.resolve("good"), Fixtures.idxImages(2, 3, 3));
    assertMessage(labels, labels, "starts with 0x00000801 but a file of images starts with");
    assertMessage(good, good, "starts with 0x00000803 but a file of labels starts with");
    byte[] bytes = Fixtures.idxImages(2, 3, 3);
    assertMessage(
        file(java.util.Arrays.copyOf(bytes, 20)), labels, "promises 18 bytes of data and 4");
    assertMessage(file(java.util.Arrays.copyOf(bytes, 40)), labels, "goes on after the 18 bytes");
    assertMessage(file(new byte[0]), labels, "ends within its header");
    assertMessage(file(Fixtures.idxImages(3, 3, 3)), labels, "3 images but");
    int[] huge = {Integer.MAX_VALUE, Integer.MAX_VALUE, Integer.MAX_VALUE};
    assertMessage(file(Fixtures.idx(0x803, huge, new byte[4])), labels, "more than the");
    int[] negative = {2, -1, 3};
    assertMessage(
        file(Fixtures.idx(0x803, negative, new byte[4])),
        labels,
        "dimension 1 has extent 4294967295");
    Path gz = dir.resolve("cut.gz");
    byte[] packed = Fixtures.gzip(bytes);
    Files.write(gz, java.util.Arrays.copyOf(packed, packed.length - 12));
    assertMessage(gz, labels, "damaged or truncated");
    Files.write(gz, bytes);
    assertMessage(gz, labels, "damaged or truncated (Not in GZIP format)");
  }

  @Test
  void aBombStopsAtItsPromise() throws IOException {
    byte[] bomb = Fixtures.idx(0x803, new int[] {2, 3, 3}, new byte[8 << 20]);
    Path gz = Files.write(dir.resolve("bomb.gz"), Fixtures.gzip(bomb));
    Path labels = Files.write(dir.resolve("labels"), Fixtures.idxLabels(1, 2));
    assertMessage(gz, labels, "goes on after the 18 bytes");
  }

  @Test
  void aMissingFileIsNamed() throws IOException {
    Fixtures.idxFolder(dir);
    Files.delete(dir.resolve("t10k-labels.idx1-ubyte"));
    FormatException e = assertThrows(FormatException.class, () -> Datasets.open(dir));
    assertTrue(e.getMessage().contains("lacks t10k-labels-idx1-ubyte"), e.getMessage());
  }

  private Path file(byte[] content) throws IOException {
    return Files.write(dir.resolve("images"), content);
  }

  private static void assertMessage(Path images, Path labels, String part) {
    FormatException e = assertThrows(FormatException.class, () -> Datasets.idx(images, labels));
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertTrue(e.getMessage().startsWith("[idx] "), e.getMessage());
  }
}
