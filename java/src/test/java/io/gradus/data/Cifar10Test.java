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
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class Cifar10Test {
  @TempDir Path dir;

  @Test
  void planesBecomePixels() throws IOException {
    Files.write(dir.resolve("data_batch_1.bin"), Fixtures.cifar(3, 9));
    Files.write(dir.resolve("data_batch_2.bin.xz"), Fixtures.xz(Fixtures.cifar(5)));
    Files.write(dir.resolve("test_batch.bin.gz"), Fixtures.gzip(Fixtures.cifar(1)));
    TrainTest data = Datasets.open(dir);
    assertEquals(Shape.of(32, 32, 3), data.train().sampleShape());
    assertEquals(3, data.train().size());
    assertEquals(9, data.train().label(1));
    assertEquals(5, data.train().label(2));
    assertEquals("cat", data.train().classNames().get(3));
    byte[] second = ((ImageDataset) data.train()).pixels(1);
    assertArrayEquals(new byte[] {100, 110, 120, 101, 111, 121}, Arrays.copyOf(second, 6));
    assertEquals(10 + 33 % 7, ((ImageDataset) data.train()).pixels(2)[33 * 3 + 1]);
  }

  @Test
  void classNamesComeFromTheirFile() throws IOException {
    Files.write(dir.resolve("data_batch_1.bin"), Fixtures.cifar(3));
    Files.write(dir.resolve("test_batch.bin"), Fixtures.cifar(1));
    Path names = dir.resolve("batches.meta.txt");
    Files.writeString(names, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    assertEquals("j", Datasets.open(dir).test().classNames().get(9));
    Files.writeString(names, "a\nb\n");
    assertMessage("has 2 class names, not 10");
  }

  @Test
  void damageIsNamed() throws IOException {
    Files.write(dir.resolve("data_batch_1.bin"), Fixtures.cifar(3));
    assertMessage("lacks test_batch.bin");
    Path test = dir.resolve("test_batch.bin");
    Files.write(test, Fixtures.cifar(1, 10));
    assertMessage("record 1 has label 10, out of range for 10 classes");
    Files.write(test, Arrays.copyOf(Fixtures.cifar(1), 3000));
    assertMessage("holds 3000 bytes, not 1 to 10000 whole records");
    Files.write(test, new byte[0]);
    assertMessage("holds 0 bytes");
    Files.delete(test);
    byte[] packed = Fixtures.xz(Fixtures.cifar(1, 2));
    Files.write(dir.resolve("test_batch.bin.xz"), Arrays.copyOf(packed, packed.length - 30));
    assertMessage("test_batch.bin.xz is damaged or truncated");
    Files.write(dir.resolve("test_batch.bin.xz"), Fixtures.xz(new byte[32 << 20]));
    assertMessage("holds over 30730000 bytes");
  }

  private void assertMessage(String part) {
    FormatException e = assertThrows(FormatException.class, () -> Datasets.open(dir));
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertTrue(e.getMessage().startsWith("[cifar10] "), e.getMessage());
  }
}
