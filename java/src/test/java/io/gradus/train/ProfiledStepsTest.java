package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Profile;
import io.gradus.backend.Profiler;
import io.gradus.core.Device;
import io.gradus.nn.Module;
import io.gradus.optim.AdamW;
import io.gradus.tensor.Generator;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProfiledStepsTest {
  private static final int BATCH = 8;

  @TempDir private Path folder;

  /** Trains with so many batches in an epoch; the weights. */
  private static Map<String, ByteBuffer> train(
      int epochs, int batches, boolean capture, @Nullable ProfiledSteps profiled)
      throws IOException {
    Module model = Samples.network(1);
    model.to(Device.cpu());
    Generator.seed(2);
    Trainer.Builder run =
        Trainer.builder(model, Samples.train(batches * BATCH, BATCH))
            .test(Samples.test(16))
            .optimizer(new AdamW(model.parameters(), 1e-2))
            .epochs(epochs)
            .capture(capture);
    if (profiled != null) {
      run.listener(profiled);
    }
    run.build().fit();
    assertFalse(Profiler.isRunning());
    Map<String, ByteBuffer> out = new TreeMap<>();
    model.stateDict().forEach((name, t) -> out.put(name, t.detach().toBytes()));
    return out;
  }

  private static long calls(Profile profile, Profiler.Phase phase, String operation) {
    return profile.entries().stream()
        .filter(e -> e.phase() == phase && e.operation().startsWith(operation))
        .mapToLong(Profile.Entry::calls)
        .sum();
  }

  @ParameterizedTest
  @CsvSource({
    "6, 2, 3, 3, false",
    "6, 2, 3, 3, true",
    "6, 0, 6, 6, false",
    "6, 4, 20, 2, true", // the epoch ends before
    "4, 10, 20, 2, false", // the third epoch, which is the first with more than the warm-up
    "5, 5, 1, 1, false" // the second
  })
  void profilesTheStepsAfterTheWarmUp(
      int batches, int warmUp, int steps, int expected, boolean capture) throws IOException {
    try (ProfiledSteps profiled = new ProfiledSteps(folder, warmUp, steps)) {
      assertEquals(
          train(3, batches, false, null), train(3, batches, capture, profiled), "other weights");
      Profile profile = profiled.profile();
      assertNotNull(profile);
      assertEquals(expected, calls(profile, Profiler.Phase.OPTIMIZER, "adam"), profile::toTable);
      assertEquals(
          expected,
          calls(profile, Profiler.Phase.FORWARD, "crossEntropyForward"),
          profile::toTable);
      assertEquals(
          expected,
          calls(profile, Profiler.Phase.BACKWARD, "crossEntropyBackward"),
          profile::toTable);
      assertEquals(0, calls(profile, Profiler.Phase.FORWARD, "capturedStep"), profile::toTable);
      String heading = "profile of " + expected + " steps after " + warmUp + " to warm up: ";
      assertTrue(profiled.summary(3).startsWith(heading), profiled.summary(3));
      String table = Files.readString(folder.resolve("profile.txt"));
      assertTrue(table.startsWith(heading) && table.contains(profile.toTable()), table);
      String trace = Files.readString(folder.resolve("profile.json"));
      assertTrue(trace.contains("\"crossEntropyForward\"") && trace.endsWith("}"));
    }
  }

  @Test
  void aRunWithoutMoreThanTheWarmUpSaysSo() throws IOException {
    try (ProfiledSteps profiled = new ProfiledSteps(folder, 8, 4)) {
      train(2, 4, false, profiled);
      assertNull(profiled.profile());
      assertTrue(profiled.summary(3).startsWith("no step was profiled: "), profiled.summary(3));
      assertFalse(Files.exists(folder.resolve("profile.txt")));
    }
  }

  @Test
  void closingEndsTheProfileOfARunThatFailed() {
    ProfiledSteps profiled = new ProfiledSteps(folder, 1, 4);
    profiled.epochStarted(1, 1, 10, 0);
    profiled.batchTrained(1, 1, 0);
    assertTrue(Profiler.isRunning());
    profiled.close();
    assertFalse(Profiler.isRunning());
    profiled.close();
  }
}
