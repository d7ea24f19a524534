package io.gradus.io;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.gradus.core.Device;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Mutated files: a loader answers with content or an I/O error, never with anything else. */
class HostileFilesTest {
  private static final int ROUNDS = 2000;
  private static final String[] TOKENS = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "-1",
    "9223372036854775807",
    "1e9",
    "null",
    "\\u0000",
    "\"dtype\":\"F64\"",
    "\"shape\":[0]",
    "4294967296",
    "__metadata__",
    "BF16",
    "\ud83d\ude00"
  };

  @TempDir Path folder;

  private interface Loader {
    AutoCloseable load() throws IOException;
  }

  private static byte[] mutate(byte[] original, int header, SplittableRandom random) {
    byte[] bytes = original.clone();
    for (int n = 1 + random.nextInt(4); n > 0 && bytes.length > 0; n--) {
      int span = random.nextInt(4) == 0 ? bytes.length : Math.min(header, bytes.length);
      int at = random.nextInt(span);
      switch (random.nextInt(6)) {
        case 0 -> bytes[at] = (byte) random.nextInt(256);
        case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 2 -> bytes = Arrays.copyOf(bytes, at);
        case 3 -> bytes = Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(9));
        case 4 -> {
          byte[] token = TOKENS[random.nextInt(TOKENS.length)].getBytes(StandardCharsets.UTF_8);
          for (int i = 0; i < token.length && at + i < bytes.length; i++) {
            bytes[at + i] = token[i];
          }
        }
        default -> {
          int from = random.nextInt(bytes.length);
          int length = Math.min(random.nextInt(40), bytes.length - Math.max(at, from));
          System.arraycopy(bytes.clone(), from, bytes, at, Math.max(0, length));
        }
      }
    }
    return bytes;
  }

  private static int attack(byte[] original, Path file, long seed, Loader loader)
      throws IOException {
    int header = 8 + (original[0] & 0xff) + 256 * (original[1] & 0xff);
    SplittableRandom random = new SplittableRandom(seed);
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
      byte[] bytes = mutate(original, header, random);
      // Overwriting would make some file systems write through to the disk.
      Files.delete(file);
      Files.write(file, bytes);
      try (AutoCloseable loaded = loader.load()) {
        assertTrue(loaded != null);
      } catch (IOException e) {
        refused++;
      } catch (Exception e) {
        fail("seed " + seed + ", round " + round + ": " + e, e);
      }
    }
    return refused;
  }

  private static Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("fc1.weight", Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3));
    tensors.put("steps", Tensor.of(new long[] {9}));
    tensors.put("mask", Tensor.of(new boolean[] {true, false}));
    return tensors;
  }

  @Test
  void safeTensors() throws IOException {
    Path file = folder.resolve("f.safetensors");
    SafeTensors.save(file, tensors(), Map.of("format", "pt"));
    byte[] original = Files.readAllBytes(file);
    int refused = attack(original, file, 20240901, () -> SafeTensors.load(file));
    assertTrue(refused > ROUNDS / 2 && refused < ROUNDS, refused + " refused");
  }

  @Test
  void everyTruncationIsRefused() throws IOException {
    Path file = folder.resolve("t.safetensors");
    SafeTensors.save(file, tensors(), Map.of());
    byte[] original = Files.readAllBytes(file);
    for (int length = 0; length < original.length; length++) {
      Files.write(file, Arrays.copyOf(original, length));
      try (TensorFile loaded = SafeTensors.load(file)) {
        fail("cut to " + length + " bytes it loads as " + loaded.tensors().keySet());
      } catch (IOException e) {
        assertTrue(e.getMessage().contains("t.safetensors"), e.getMessage());
      }
    }
  }

  @Test
  void checkpoints() throws IOException {
    try (CheckpointData data = new CheckpointData()) {
      data.putGroup("model", tensors()).putLong("epoch", 3).putDouble("lr", 0.1);
      Path file = Checkpoint.save(folder, data);
      byte[] original = Files.readAllBytes(file);
      int refused = attack(original, file, 20240902, () -> Checkpoint.decode(file, Device.cpu()));
      // The checksum catches every change; only rounds that change nothing may load.
      assertTrue(refused > ROUNDS * 0.95, refused + " refused");
    }
  }
}
