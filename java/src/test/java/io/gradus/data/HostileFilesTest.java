package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.GradusException;
import io.gradus.core.Shape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Mutated and truncated files: each is read or refused with a typed error, never anything else. */
final class HostileFilesTest {
  private static final long SEED = 20260521;

  @TempDir Path dir;

  /** What is done with a mutated file. */
  private interface Opener {
    void open(Path file) throws IOException;
  }

  @Test
  void idx() throws IOException {
    Path labels = Files.write(dir.resolve("labels"), Fixtures.idxLabels(1, 2, 3));
    Path images = Files.write(dir.resolve("images"), Fixtures.idxImages(3, 4, 4));
    fuzz("i", Fixtures.idxImages(3, 4, 4), 2000, file -> Datasets.idx(file, labels));
    fuzz("i.gz", Fixtures.gzip(Fixtures.idxImages(3, 4, 4)), 1000, f -> Datasets.idx(f, labels));
    fuzz("l", Fixtures.idxLabels(1, 2, 3), 2000, file -> Datasets.idx(images, file));
  }

  @Test
  void cifar() throws IOException {
    Files.write(dir.resolve("test_batch.bin"), Fixtures.cifar(1));
    byte[] packed = Fixtures.xz(Fixtures.cifar(1, 2));
    fuzz("data_batch_1.bin.xz", packed, 300, file -> Datasets.open(dir));
    fuzz("data_batch_1.bin", Fixtures.cifar(1), 300, file -> Datasets.open(dir));
  }

  @Test
  void csv() throws IOException {
    byte[] text =
        "a,\"b c\",label\n1,2.5,x\n-3,4e2,y\n5,6,\"x\"\n".getBytes(StandardCharsets.UTF_8);
    fuzz("t.csv", text, 1500, Datasets::csv);
    fuzz("t.csv.gz", Fixtures.gzip(text), 500, Datasets::csv);
  }

  @Test
  void images() throws IOException {
    int[] rgb = new SplittableRandom(1).ints(144, 0, 1 << 24).toArray();
    Shape shape = Shape.of(8, 8, 3);
    for (String format : new String[] {"png", "gif", "bmp", "jpg"}) {
      byte[] bytes = Fixtures.encode(Fixtures.colour(12, 12, rgb), format);
      fuzz("x." + format, bytes, 300, file -> Images.read(file, shape));
    }
  }

  private void fuzz(String name, byte[] valid, int rounds, Opener opener) throws IOException {
    SplittableRandom random = new SplittableRandom(SEED);
    Path file = dir.resolve(name);
    int refused = 0;
    for (int round = 0; round < rounds; round++) {
      // Some file systems flush a file that is truncated and written again, but not a new one.
      Files.deleteIfExists(file);
      Files.write(file, mutate(valid, random));
      try {
        opener.open(file);
      } catch (GradusException | IOException e) {
        refused++;
        assertTrue(e.getMessage() != null && e.getMessage().startsWith("["), e.toString());
      } catch (RuntimeException | Error e) {
        throw new AssertionError(name + ", seed " + SEED + ", round " + round, e);
      }
    }
    Files.delete(file);
    assertTrue(refused > rounds / 20, name + ": only " + refused + " were refused");
  }

  private static byte[] mutate(byte[] valid, SplittableRandom random) {
    byte[] bytes = valid.clone();
    int kind = random.nextInt(4);
    if (kind == 0) {
      return Arrays.copyOf(bytes, random.nextInt(bytes.length + 8));
    }
    // Headers stand at the start, so half of the changes go there.
    int reach = random.nextBoolean() ? Math.min(48, bytes.length) : bytes.length;
    for (int changes = random.nextInt(1, 6); changes > 0; changes--) {
      int at = random.nextInt(reach);
      if (kind == 1) {
        bytes[at] = (byte) random.nextInt();
      } else if (kind == 2) {
        bytes[at] ^= (byte) (1 << random.nextInt(8));
      } else {
        bytes[at] = (byte) (random.nextBoolean() ? 0xFF : 0x7F);
      }
    }
    return bytes;
  }
}
