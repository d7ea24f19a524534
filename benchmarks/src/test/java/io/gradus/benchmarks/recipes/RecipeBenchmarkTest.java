package io.gradus.benchmarks.recipes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.benchmarks.Bench;
import io.gradus.benchmarks.engines.PeerException;
import io.gradus.benchmarks.report.RunOptions;
import io.gradus.core.Shape;
import io.gradus.data.ImageDataset;
import io.gradus.data.TrainTest;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecipeBenchmarkTest {
  private static final RecipeSizes TINY = new RecipeSizes(1.5, 20, List.of(4, 4, 4), 60, 30);

  @TempDir private Path folder;

  /** Takes as many seconds as its seed; fails at one of them. */
  private static final class FakeRacer implements Racer {
    private final String name;
    private final int failsAt;
    private final List<Integer> seeds = new ArrayList<>();

    FakeRacer(String name, int failsAt) {
      this.name = name;
      this.failsAt = failsAt;
    }

    @Override
    public String name() {
      return name;
    }

    @Override
    public Outcome train(int seed) throws PeerException {
      seeds.add(seed);
      if (seed == failsAt) {
        throw new PeerException("tired");
      }
      return new Outcome(seed, seed == 1 ? 0.93 : 0.95);
    }

    @Override
    public void close() {}
  }

  private RecipeLog log(boolean resume) throws IOException {
    return new RecipeLog(folder.resolve("recipe-log.tsv"), resume);
  }

  private static TrainTest images(int train, int test) {
    return new TrainTest(images(train), images(test));
  }

  private static ImageDataset images(int count) {
    byte[] pixels = new byte[count * 32 * 32 * 3];
    new Random(count).nextBytes(pixels);
    int[] labels = new Random(count + 1).ints(count, 0, 10).toArray();
    List<String> names = List.of("0", "1", "2", "3", "4", "5", "6", "7", "8", "9");
    return new ImageDataset("noise", Shape.of(32, 32, 3), names, pixels, labels);
  }

  @Test
  void enginesTakeTurnsAfterARunThatDoesNotCount() throws Exception {
    FakeRacer ours = new FakeRacer("gradus", -1);
    FakeRacer other = new FakeRacer("other", 2);
    Map<String, String> engines = new LinkedHashMap<>(Map.of("gradus", ""));
    engines.put("other", "");
    RecipeLog log = log(false);
    RecipeBenchmark.race(List.of(ours, other), 3, log, engines);
    assertEquals(List.of(0, 1, 2, 3), ours.seeds);
    assertEquals(List.of(0, 1, 2), other.seeds);
    assertEquals("seed 2: tired", engines.get("other"));
    assertEquals(
        List.of("gradus 1", "other 1", "gradus 2", "gradus 3"),
        log.runs().stream().map(run -> run.engine() + " " + run.seed()).toList());

    RecipeSection section = new RecipeSection(log, "a model", engines);
    assertEquals(List.of("other: seed 2: tired"), section.notes());
    List<String> lines = section.table().text().lines().toList();
    assertTrue(
        lines.get(2).matches("\\| gradus +\\| 3 .*94\\.33% +\\| 1\\.15% .*2 of 3 .*2\\.00 \\(1.*"),
        lines.get(2));
    assertTrue(lines.get(3).matches("\\| other +\\| 1 .*93\\.00% .*0 of 1 .*"), lines.get(3));
    assertEquals(5, section.values().csv().lines().count());
  }

  @Test
  void aContestThatWasStoppedGoesOn() throws Exception {
    Map<String, String> engines = new LinkedHashMap<>(Map.of("gradus", ""));
    RecipeBenchmark.race(List.of(new FakeRacer("gradus", -1)), 2, log(false), engines);
    // A line that was cut off.
    Files.writeString(
        folder.resolve("recipe-log.tsv"), "gradus\t3\t3.0\t0.9", StandardOpenOption.APPEND);
    FakeRacer again = new FakeRacer("gradus", -1);
    RecipeLog log = log(true);
    assertFalse(log.has("gradus", 3));
    RecipeBenchmark.race(List.of(again), 4, log, engines);
    assertEquals(List.of(0, 3, 4), again.seeds);
    assertEquals(4, log(true).of("gradus").size());
    assertTrue(log(false).runs().isEmpty());
  }

  /** As CIFAR-10 comes, with few images. */
  private Path cifar() throws IOException {
    Path data = Files.createDirectories(folder.resolve("cifar"));
    Random random = new Random(7);
    for (String name : List.of("data_batch_1", "data_batch_2", "test_batch")) {
      byte[] file = new byte[100 * 3073];
      random.nextBytes(file);
      for (int i = 0; i < 100; i++) {
        file[i * 3073] = (byte) (i % 10);
      }
      Files.write(data.resolve(name + ".bin"), file);
    }
    return data;
  }

  /**
   * In a process of its own, as models are freed by the garbage collector, which is watched here.
   */
  private List<String> contest(Path data, String out) throws Exception {
    List<String> command =
        new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-cp"));
    command.add(System.getProperty("java.class.path"));
    command.addAll(List.of(Bench.class.getName(), "recipe", "--quick", "--device", "cpu"));
    command.addAll(List.of("--precision", "float32", "--data", data.toString()));
    command.addAll(List.of("--out", folder.resolve(out).toString()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), text);
    return Files.readAllLines(folder.resolve(out).resolve("recipe.csv"));
  }

  @Test
  void ourRunsDependOnTheSeedAlone() throws Exception {
    Path data = cifar();
    List<String> once = contest(data, "once");
    assertEquals(3, once.size(), once::toString);
    assertTrue(once.get(1).startsWith("gradus,1,"), once::toString);
    List<String> again = contest(data, "again");
    for (int run = 1; run <= 2; run++) {
      String[] one = once.get(run).split(",", -1);
      assertTrue(Double.parseDouble(one[2]) > 0, once::toString);
      assertEquals(one[3], again.get(run).split(",", -1)[3]);
    }
  }

  @Test
  void pytorchIsGivenTheImagesAndAskedForRuns() throws Exception {
    TrainTest data = images(3, 2);
    Path file = folder.resolve("images/recipe.bin");
    TorchRacer.write(data, file);
    try (DataInputStream in = new DataInputStream(Files.newInputStream(file))) {
      assertEquals(3, in.readInt());
      assertEquals(2, in.readInt());
      float[] values = new float[32 * 32 * 3];
      data.train().read(0, values, 0);
      for (float value : values) {
        assertEquals(Math.round(value * 255), in.readUnsignedByte());
      }
      in.skipNBytes(2 * values.length);
      for (int i = 0; i < 3; i++) {
        assertEquals(data.train().label(i), in.readUnsignedByte());
      }
      in.skipNBytes(2 * values.length);
      assertEquals(data.test().label(0), in.readUnsignedByte());
      assertEquals(data.test().label(1), in.readUnsignedByte());
      assertEquals(-1, in.read());
    }
    String worker =
        "read a; [ \"$a\" = \"recipe "
            + file
            + " 1.5 20 4 4 4\" ] || exit 1; echo PyTorch;"
            + " read a; echo ${a#train } 0.5; read a; echo nonsense";
    Path log = folder.resolve("log");
    try (TorchRacer racer =
        new TorchRacer("pytorch", List.of("sh", "-c", worker), file, TINY, log)) {
      assertEquals(new Racer.Outcome(7, 0.5), racer.train(7));
      assertThrows(PeerException.class, () -> racer.train(8));
    }
    assertThrows(
        PeerException.class,
        () -> new TorchRacer("pytorch", List.of("sh", "-c", "exit 1"), file, TINY, log));
  }

  @Test
  void badUseEndsWithTwo() {
    assertEquals(2, RunOptions.execute(new RecipeBenchmark(), new String[] {}));
    assertEquals(
        2,
        RunOptions.execute(
            new RecipeBenchmark(), new String[] {"--data", "x", "--precision", "fp8"}));
    assertEquals(
        2,
        RunOptions.execute(new RecipeBenchmark(), new String[] {"--data", "x", "--peers", "tf"}));
  }
}
