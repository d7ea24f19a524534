package io.gradus.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.cli.Gradus.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The same command gives the same bits: again, with other threads, and after a kill. */
class ReproducibleRunTest {
  @TempDir private static Path shared;
  private static Path data;

  @TempDir private Path folder;

  @BeforeAll
  static void draw() throws IOException {
    data = SmallDigits.idx(shared.resolve("digits"), 96, 32);
  }

  private Path out(String name) {
    return folder.resolve(name);
  }

  private Object[] train(String model, int epochs, String name, Object... more) {
    List<Object> args = new ArrayList<>();
    args.addAll(
        List.of(
            "train",
            "--data",
            data,
            "--model",
            model,
            "--epochs",
            epochs,
            "--batch",
            16,
            "--out",
            out(name)));
    args.addAll(Arrays.asList(more));
    return args.toArray();
  }

  private Object[] cnn(String name, long seed, Object... more) {
    List<Object> args = new ArrayList<>(List.of("--seed", seed, "--subset", 40));
    args.addAll(Arrays.asList(more));
    return train("cnn", 2, name, args.toArray());
  }

  private byte[] model(String name) throws IOException {
    return Files.readAllBytes(out(name).resolve("model.safetensors"));
  }

  /** The table without images_per_second and seconds, which stand last. */
  private List<String> results(String name) throws IOException {
    return Files.readAllLines(out(name).resolve("metrics.csv")).stream()
        .map(line -> line.replaceAll(",[^,]*,[^,]*$", ""))
        .toList();
  }

  @Test
  void seedsDecideAndThreadsDoNot() throws IOException, InterruptedException {
    assertEquals(0, Gradus.run(cnn("first", 7)).code());
    assertEquals(0, Gradus.run(cnn("second", 7)).code());
    assertEquals(results("first"), results("second"));
    assertArrayEquals(model("first"), model("second"));

    assertEquals(0, Gradus.run(cnn("other", 8)).code());
    assertNotEquals(results("first"), results("other"));

    for (int threads = 1; threads <= 2; threads++) {
      String name = "threads" + threads;
      Path log = out(name + ".log");
      int code = Gradus.fork(log, cnn(name, 7, "--threads", threads));
      assertEquals(0, code, Files.readString(log));
      assertEquals(results("first"), results(name));
      assertArrayEquals(model("first"), model(name));
    }
  }

  @Test
  void aKilledRunGoesOnToTheSameWeights() throws IOException, InterruptedException {
    assertEquals(0, Gradus.run(train("mlp", 6, "whole")).code());

    Path checkpoints = Files.createDirectories(out("killed").resolve("checkpoint"));
    Object[] args = train("mlp", 6, "killed", "--checkpoint-seconds", 0, "--resume");
    Path log = out("killed.log");
    Process process;
    try (WatchService watch = checkpoints.getFileSystem().newWatchService()) {
      checkpoints.register(watch, StandardWatchEventKinds.ENTRY_CREATE);
      process = Gradus.process(log, List.of(), args).start();
      try {
        // Four of the epoch's six batches are done when the fourth checkpoint appears.
        awaitFile(watch, "checkpoint-000004.safetensors");
      } finally {
        process.destroyForcibly();
      }
    }
    assertNotEquals(0, process.waitFor());
    assertFalse(Files.exists(out("killed").resolve("model.safetensors")), "it was not killed");

    Outcome resumed = Gradus.run(args);
    assertEquals(0, resumed.code(), resumed::toString);
    assertTrue(resumed.out().stream().anyMatch(l -> l.startsWith("resumed ")), resumed::toString);
    assertEquals(results("whole"), results("killed"));
    assertArrayEquals(model("whole"), model("killed"));
  }

  private static void awaitFile(WatchService watch, String name) throws InterruptedException {
    boolean seen = false;
    while (!seen) {
      WatchKey key = watch.poll(60, TimeUnit.SECONDS);
      assertNotNull(key, name + " has not appeared");
      for (WatchEvent<?> event : key.pollEvents()) {
        seen |= name.equals(String.valueOf(event.context()));
      }
      key.reset();
    }
  }

  @Test
  void resumingWithOtherOptionsNamesThem() throws IOException {
    assertEquals(0, Gradus.run(train("mlp", 1, "run", "--subset", 16)).code());
    byte[] before = model("run");
    Outcome outcome = Gradus.run(train("mlp", 1, "run", "--subset", 16, "--lr", 0.25, "--resume"));
    assertEquals(1, outcome.code(), outcome::toString);
    assertEquals(1, outcome.err().size(), outcome::toString);
    String line = outcome.err().get(0);
    assertTrue(line.contains("lr=0.002") && line.contains("lr=0.25"), line);
    assertTrue(line.contains("repeat the options"), line);
    assertArrayEquals(before, model("run"));
  }
}
