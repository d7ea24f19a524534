package io.gradus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.cli.Gradus.Outcome;
import io.gradus.io.SafeTensors;
import io.gradus.io.TensorFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code gradus train --recipe}, for a few steps. */
class RecipeCommandTest {
  private static final int RECORD = 1 + 3 * 32 * 32;

  @TempDir private Path folder;

  private static void cifar(Path file, int count) throws IOException {
    byte[] records = new byte[count * RECORD];
    new Random(count).nextBytes(records);
    for (int i = 0; i < count; i++) {
      records[i * RECORD] = (byte) (i % 10);
    }
    Files.write(file, records);
  }

  @Test
  void cifar10Fast() throws IOException {
    Path data = Files.createDirectory(folder.resolve("data"));
    cifar(data.resolve("data_batch_1.bin"), 40);
    cifar(data.resolve("test_batch.bin"), 10);
    Path out = folder.resolve("run");
    Outcome run =
        Gradus.run(
            "train",
            "--recipe",
            "cifar10-fast",
            "--data",
            data,
            "--batch",
            8,
            "--steps",
            2,
            "--subset",
            16,
            "--seed",
            1,
            "--out",
            out);
    assertEquals(0, run.code(), run::toString);
    assertTrue(run.lastLine().matches("test accuracy \\d{1,3}\\.\\d\\d%"), run::toString);
    assertTrue(
        run.out().get(1).startsWith("cifar10-fast: 1,972,792 parameters, 16 training"),
        run::toString);
    assertEquals(2, Files.readAllLines(out.resolve("metrics.csv")).size());
    try (TensorFile weights = SafeTensors.load(out.resolve("weights.safetensors"))) {
      assertEquals("cifar10-fast", weights.metadata().get("recipe"));
    }
    Outcome again = Gradus.run("train", "--recipe", "cifar10-fast", "--data", data, "--out", out);
    assertEquals(2, again.code(), again::toString);
  }

  @Test
  void charGpt() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(bytes)) {
      for (int i = 0; i < 200; i++) {
        gzip.write("so long, and thanks. ".getBytes(StandardCharsets.UTF_8));
      }
    }
    Path text = folder.resolve("text.gz");
    Files.write(text, bytes.toByteArray());
    Path out = folder.resolve("run");
    Outcome run =
        Gradus.run(
            "train",
            "--recipe",
            "char-gpt",
            "--data",
            text,
            "--batch",
            2,
            "--steps",
            3,
            "--out",
            out);
    assertEquals(0, run.code(), run::toString);
    assertTrue(run.lastLine().startsWith("test loss "), run::toString);
    assertTrue(Files.exists(out.resolve("curves.png")));
    Outcome epochs =
        Gradus.run(
            "train",
            "--recipe",
            "char-gpt",
            "--data",
            text,
            "--epochs",
            2,
            "--out",
            folder.resolve("other"));
    assertEquals(2, epochs.code(), epochs::toString);
    assertTrue(epochs.err().get(0).contains("--epochs is not for char-gpt"), epochs::toString);
  }
}
