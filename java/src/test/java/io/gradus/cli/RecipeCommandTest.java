package io.gradus.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.cli.Gradus.Outcome;
import io.gradus.io.SafeTensors;
import io.gradus.io.TensorFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
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
            "--optimizer",
            "muon",
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

  private Path text() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(bytes)) {
      for (int i = 0; i < 200; i++) {
        gzip.write("so long, and thanks. ".getBytes(StandardCharsets.UTF_8));
      }
    }
    Path text = folder.resolve("text.gz");
    Files.write(text, bytes.toByteArray());
    return text;
  }

  private Object[] charGpt(Path text, String out, Object... more) {
    List<Object> args =
        new ArrayList<>(
            List.of("train", "--recipe", "char-gpt", "--data", text, "--batch", 2, "--steps", 12));
    args.addAll(List.of("--out", folder.resolve(out)));
    args.addAll(List.of(more));
    return args.toArray();
  }

  @Test
  void charGpt() throws IOException {
    Path text = text();
    Outcome run = Gradus.run(charGpt(text, "run", "--sample", 12, "--ema", 0.5, "--profile"));
    assertEquals(0, run.code(), run::toString);
    assertTrue(run.lastLine().startsWith("test loss "), run::toString);
    assertTrue(
        run.out().stream().anyMatch(l -> l.startsWith("profile of 2 steps after 10 ")),
        run::toString);
    Path out = folder.resolve("run");
    assertTrue(Files.exists(out.resolve("curves.png")));
    String sample = Files.readString(out.resolve("sample.txt"));
    assertEquals(12, sample.length());
    Outcome written = Gradus.run("predict", "--out", out, "--sample", 12);
    assertEquals(0, written.code(), written::toString);
    assertEquals(sample.stripTrailing(), written.lastLine().stripTrailing());
    Outcome other = Gradus.run("predict", "--out", out, "--sample", 12, "--seed", 4);
    assertNotEquals(sample.stripTrailing(), other.lastLine().stripTrailing());
    Outcome epochs = Gradus.run(charGpt(text, "other", "--epochs", 2));
    assertEquals(2, epochs.code(), epochs::toString);
    assertTrue(epochs.err().get(0).contains("--epochs is not for char-gpt"), epochs::toString);
  }

  @Test
  void aKilledRecipeGoesOnToTheSameWeights() throws IOException, InterruptedException {
    Path text = text();
    assertEquals(0, Gradus.run(charGpt(text, "whole")).code());
    Path checkpoints = Files.createDirectories(folder.resolve("killed/checkpoint"));
    Object[] args = charGpt(text, "killed", "--checkpoint-seconds", 0, "--resume");
    Process process = Gradus.process(folder.resolve("killed.log"), List.of(), args).start();
    try {
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(120);
      while (!Files.exists(checkpoints.resolve("checkpoint-000003.safetensors"))) {
        assertTrue(System.nanoTime() < end && process.isAlive(), "no third checkpoint");
        Thread.sleep(1);
      }
    } finally {
      process.destroyForcibly();
    }
    assertNotEquals(0, process.waitFor());
    assertFalse(Files.exists(folder.resolve("killed/weights.safetensors")), "it was not killed");
    Outcome resumed = Gradus.run(args);
    assertEquals(0, resumed.code(), resumed::toString);
    assertTrue(resumed.out().stream().anyMatch(l -> l.startsWith("resumed ")), resumed::toString);
    assertArrayEquals(
        Files.readAllBytes(folder.resolve("whole/weights.safetensors")),
        Files.readAllBytes(folder.resolve("killed/weights.safetensors")));
  }
}
