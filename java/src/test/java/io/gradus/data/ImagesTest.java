package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ImagesTest {
  @TempDir Path dir;

  @Test
  void greyIsReadAsStored() throws IOException {
    Path file = Fixtures.png(dir.resolve("g.png"), Fixtures.grey(2, 2, 0, 51, 102, 255));
    assertArrayEquals(new float[] {0, 0.2f, 0.4f, 1}, Images.read(file, Shape.of(2, 2, 1)), 1e-7f);
    assertArrayEquals(
        new float[] {0, 0, 0, 0.2f, 0.2f, 0.2f, 0.4f, 0.4f, 0.4f, 1, 1, 1},
        Images.read(file, Shape.of(2, 2, 3)),
        1e-7f);
  }

  @Test
  void sixteenBitAndBlackAndWhiteAreGrey() throws IOException {
    BufferedImage deep = new BufferedImage(2, 1, BufferedImage.TYPE_USHORT_GRAY);
    deep.getRaster().setSample(1, 0, 0, 0x80FF);
    assertArrayEquals(
        new float[] {0, 128 / 255f},
        Images.read(Fixtures.png(dir.resolve("d.png"), deep), Shape.of(1, 2, 1)));
    BufferedImage binary = new BufferedImage(2, 1, BufferedImage.TYPE_BYTE_BINARY);
    binary.setRGB(0, 0, 0xFFFFFF);
    Path file = Fixtures.png(dir.resolve("b.png"), binary);
    assertArrayEquals(new float[] {1, 0}, Images.read(file, Shape.of(1, 2, 1)));
    assertEquals(1, Images.decode(file).channels);
  }

  @Test
  void colourBecomesLuma() throws IOException {
    Path file =
        Fixtures.png(dir.resolve("c.png"), Fixtures.colour(3, 1, 0xFF0000, 0x00FF00, 0x102030));
    assertArrayEquals(
        new float[] {76 / 255f, 150 / 255f, 29 / 255f}, Images.read(file, Shape.of(1, 3, 1)));
    assertArrayEquals(
        new float[] {1, 0, 0, 0, 1, 0, 16 / 255f, 32 / 255f, 48 / 255f},
        Images.read(file, Shape.of(1, 3, 3)),
        1e-7f);
  }

  @Test
  void shrinkingAveragesAndGrowingInterpolates() throws IOException {
    Path file = Fixtures.png(dir.resolve("s.png"), Fixtures.grey(4, 1, 0, 0, 255, 255));
    assertArrayEquals(new float[] {1 / 7f, 6 / 7f}, Images.read(file, Shape.of(1, 2, 1)), 1e-6f);
    assertArrayEquals(
        new float[] {0, 0, 0, 0.25f, 0.75f, 1, 1, 1}, Images.read(file, Shape.of(1, 8, 1)), 1e-6f);
    Path tall = Fixtures.png(dir.resolve("t.png"), Fixtures.grey(1, 2, 0, 255));
    assertArrayEquals(
        new float[] {0, 0, 0.25f, 0.25f, 0.75f, 0.75f, 1, 1},
        Images.read(tall, Shape.of(4, 2, 1)),
        1e-6f);
  }

  @Test
  void aConstantImageStaysConstantAtAnySize() throws IOException {
    int[] values = new int[35];
    Arrays.fill(values, 102);
    Path file = Fixtures.png(dir.resolve("k.png"), Fixtures.grey(5, 7, values));
    for (long side : new long[] {1, 3, 6, 28}) {
      for (float v : Images.read(file, Shape.of(side, side + 1, 1))) {
        assertEquals(0.4f, v, 1e-6f);
      }
    }
  }

  @Test
  void jpegGifAndBmpAreRead() throws IOException {
    int[] values = new int[64];
    Arrays.fill(values, 200);
    for (String format : new String[] {"jpg", "gif", "bmp"}) {
      Path file =
          Files.write(
              dir.resolve("x." + format), Fixtures.encode(Fixtures.grey(8, 8, values), format));
      float[] read = Images.read(file, Shape.of(8, 8, 1));
      assertEquals(200 / 255f, read[27], 0.02f, format);
    }
  }

  @Test
  void whatIsNoImageIsNamed() throws IOException {
    Path text = Files.writeString(dir.resolve("t.png"), "hello");
    assertMessage(text, "is not a PNG, JPEG, GIF or BMP image");
    byte[] png = Fixtures.encode(Fixtures.grey(9, 9, 1, 2, 3), "png");
    assertMessage(Files.write(dir.resolve("cut.png"), Arrays.copyOf(png, 50)), "is damaged");
    byte[] huge = png.clone();
    ByteBuffer.wrap(huge).putInt(16, 0x7FFFFFFF).putInt(20, 0x7FFFFFFF);
    assertMessage(Files.write(dir.resolve("huge.png"), huge), "");
  }

  @Test
  void theModelMustTakeImages() throws IOException {
    Path file = Fixtures.png(dir.resolve("g.png"), Fixtures.grey(1, 1, 5));
    assertThrows(ShapeException.class, () -> Images.read(file, Shape.of(8)));
    assertThrows(ShapeException.class, () -> Images.read(file, Shape.of(2, 2, 2)));
  }

  private static void assertMessage(Path file, String part) {
    FormatException e =
        assertThrows(FormatException.class, () -> Images.read(file, Shape.of(2, 2, 1)));
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
  }
}
