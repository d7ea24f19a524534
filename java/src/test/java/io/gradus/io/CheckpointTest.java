package io.gradus.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.FormatException;
import io.gradus.io.FaultyFiles.Fault;
import io.gradus.io.FaultyFiles.Loss;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class CheckpointTest {
  @TempDir Path folder;

  private static CheckpointData epoch(long epoch) {
    return new CheckpointData()
        .putGroup("model", Map.of("w", Tensor.of(new float[] {epoch, -epoch})))
        .putLong("epoch", epoch);
  }

  private static long loadedEpoch(Path folder) throws IOException {
    try (CheckpointData data = Checkpoint.load(folder).data()) {
      long epoch = data.getLong("epoch");
      assertArrayEquals(
          new float[] {epoch, -epoch}, data.group("model").get("w").toFloats(), "epoch " + epoch);
      return epoch;
    }
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  private static void flipByte(Path file, int fromEnd) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - fromEnd] ^= 1;
    Files.write(file, bytes);
  }

  @Test
  void everythingComesBackBitForBit() throws IOException {
    Map<String, Tensor> model = new LinkedHashMap<>();
    model.put("z/conv.weight", Tensor.of(new float[] {Float.MIN_VALUE, Float.NaN}));
    model.put("a", Tensor.of(new double[] {0.1}));
    double payload = Double.longBitsToDouble(0x7ff8000000001234L);
    CheckpointData data =
        new CheckpointData()
            .putGroup("model", model)
            .putGroup("optimizer", Map.of())
            .putGroup("rng", Map.of("counter", Tensor.of(new long[] {Long.MIN_VALUE})))
            .putString("args", "--lr 0.1\n\"quoted\"")
            .putLong("step", Long.MIN_VALUE)
            .putDouble("tenth", 0.1)
            .putDouble("minus.zero", -0.0)
            .putDouble("nan", payload)
            .putDouble("inf", Double.NEGATIVE_INFINITY);
    Path file = Checkpoint.save(folder, data);

    Checkpoint.Loaded loaded = Checkpoint.load(folder);
    assertEquals(file, loaded.file());
    assertEquals(List.of(), loaded.skipped());
    try (CheckpointData back = loaded.data()) {
      assertEquals(List.of("model", "optimizer", "rng"), new ArrayList<>(back.groups().keySet()));
      assertEquals(List.of("z/conv.weight", "a"), new ArrayList<>(back.group("model").keySet()));
      assertEquals(
          model.get("z/conv.weight").toBytes(), back.group("model").get("z/conv.weight").toBytes());
      assertEquals(Long.MIN_VALUE, back.group("rng").get("counter").toLongs()[0]);
      assertEquals(data.strings(), back.strings());
      assertEquals(data.longs(), back.longs());
      data.doubles()
          .forEach(
              (k, v) ->
                  assertEquals(
                      Double.doubleToRawLongBits(v),
                      Double.doubleToRawLongBits(back.getDouble(k)),
                      k));
    }
  }

  @Test
  void anySafeTensorsReaderOpensIt() throws IOException {
    try (TensorFile file = SafeTensors.load(Checkpoint.save(folder, epoch(7)))) {
      assertArrayEquals(new float[] {7, -7}, file.get("model/w").toFloats());
      assertEquals("7", file.metadata().get("long:epoch"));
    }
  }

  @Test
  void theTwoNewestAreKept() throws IOException {
    Files.writeString(folder.resolve(".checkpoint-000009.safetensors.1-1.tmp"), "of a killed run");
    Files.writeString(folder.resolve("notes.txt"), "not ours");
    for (int i = 1; i <= 4; i++) {
      Checkpoint.save(folder, epoch(i));
      assertEquals(i, loadedEpoch(folder));
    }
    assertEquals(
        List.of("checkpoint-000003.safetensors", "checkpoint-000004.safetensors", "notes.txt"),
        names());
  }

  @ParameterizedTest
  @CsvSource({"1", "33", "40", "100", "200"})
  void damageFallsBackToTheOneBefore(int fromEnd) throws IOException {
    Checkpoint.save(folder, epoch(1));
    Path newest = Checkpoint.save(folder, epoch(2));
    flipByte(newest, fromEnd);
    Checkpoint.Loaded loaded = Checkpoint.load(folder);
    try (CheckpointData data = loaded.data()) {
      assertEquals(1, data.getLong("epoch"));
    }
    assertEquals(1, loaded.skipped().size());
    assertTrue(loaded.skipped().get(0).startsWith("checkpoint-000002.safetensors: "));
    // The run goes on from there, and its next checkpoint is the newest.
    Checkpoint.save(folder, epoch(3));
    assertEquals(3, loadedEpoch(folder));
  }

  @Test
  void allDamagedIsAFormatError() throws IOException {
    flipByte(Checkpoint.save(folder, epoch(1)), 1);
    Files.write(Checkpoint.save(folder, epoch(2)), new byte[0]);
    FormatException e = assertThrows(FormatException.class, () -> Checkpoint.load(folder));
    assertTrue(e.getMessage().contains("SHA-256"), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }

  @Test
  void foreignAndNewerFilesAreRefused() throws IOException {
    Path file = folder.resolve("checkpoint-000001.safetensors");
    SafeTensors.save(file, Map.of("w", Tensor.scalar(1)), Map.of());
    FormatException plain = assertThrows(FormatException.class, () -> Checkpoint.load(folder));
    assertTrue(plain.getMessage().contains("no checksum"), plain.getMessage());

    AtomicFiles.write(
        file, out -> SafeTensors.writeSealed(out, Map.of(), Map.of("gradus.checkpoint", "2")));
    FormatException newer = assertThrows(FormatException.class, () -> Checkpoint.load(folder));
    assertTrue(newer.getMessage().contains("format version 2"), newer.getMessage());

    AtomicFiles.write(
        file,
        out ->
            SafeTensors.writeSealed(
                out, Map.of(), Map.of("gradus.checkpoint", "1", "long:x", "many")));
    FormatException number = assertThrows(FormatException.class, () -> Checkpoint.load(folder));
    assertTrue(number.getMessage().contains("cannot be read"), number.getMessage());

    AtomicFiles.write(
        file,
        out ->
            SafeTensors.writeSealed(
                out, Map.of("a/b", Tensor.scalar(1)), Map.of("gradus.checkpoint", "1")));
    FormatException group = assertThrows(FormatException.class, () -> Checkpoint.load(folder));
    assertTrue(group.getMessage().contains("in no group"), group.getMessage());
  }

  @Test
  void anEmptyOrMissingFolderHasNone() throws IOException {
    assertFalse(Checkpoint.exists(folder));
    assertFalse(Checkpoint.exists(folder.resolve("missing")));
    assertThrows(NoSuchFileException.class, () -> Checkpoint.load(folder));
    Checkpoint.save(folder.resolve("new"), epoch(1));
    assertTrue(Checkpoint.exists(folder.resolve("new")));
  }

  @Test
  void missingContentIsNamed() {
    try (CheckpointData data = epoch(1)) {
      assertThrows(ArgumentException.class, () -> data.group("optimizer"));
      assertThrows(ArgumentException.class, () -> data.getDouble("lr"));
      assertThrows(ArgumentException.class, () -> data.getString("args"));
      ArgumentException e = assertThrows(ArgumentException.class, () -> data.getLong("step"));
      assertTrue(e.getMessage().contains("[epoch]"), e.getMessage());
      assertThrows(ArgumentException.class, () -> data.putGroup("a/b", Map.of()));
    }
  }

  /** Whatever single operation fails or crashes, the last good checkpoint stays loadable. */
  @ParameterizedTest
  @EnumSource(Fault.class)
  void noFaultLosesACheckpoint(Fault fault) throws IOException {
    for (Loss loss : Loss.values()) {
      for (int saved : new int[] {0, 2}) {
        int operations = 0;
        boolean struck = true;
        while (struck) {
          struck = survives(fault, loss, saved, operations++);
        }
        assertTrue(operations > 15, "only " + operations + " operations");
      }
    }
  }

  private boolean survives(Fault fault, Loss loss, int saved, int k) throws IOException {
    String where = fault + " at " + k + ", losing " + loss + ", after " + saved + " saves";
    Path run = folder.resolve(where);
    Files.createDirectories(run);
    FaultyFiles fine = new FaultyFiles(run, -1, Fault.FAIL, "");
    for (int i = 1; i <= saved; i++) {
      Checkpoint.save(fine, run, epoch(i));
    }
    FaultyFiles files = new FaultyFiles(run, k, fault, "No space left on device");
    boolean returned;
    try {
      Checkpoint.save(files, run, epoch(saved + 1));
      returned = true;
    } catch (IOException e) {
      returned = false;
    }
    files.crash(loss);

    if (returned) {
      assertEquals(saved + 1, loadedEpoch(run), where);
    } else if (saved > 0 || Checkpoint.exists(run)) {
      long epoch = loadedEpoch(run);
      assertTrue(epoch == saved || epoch == saved + 1, where + " loads " + epoch);
    }
    Checkpoint.save(fine, run, epoch(saved + 2));
    assertEquals(saved + 2, loadedEpoch(run), where);
    return files.struck();
  }
}
