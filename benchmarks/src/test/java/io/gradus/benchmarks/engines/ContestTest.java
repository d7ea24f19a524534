package io.gradus.benchmarks.engines;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Peers that misbehave cost a line in the table, never the run. */
@Timeout(120)
class ContestTest {
  private static final Plan PLAN = new Plan(3, 0.004, 0.004, 3, Result.TOLERANCE);

  @TempDir private Path folder;
  private Path state = Path.of("");

  @BeforeEach
  void writeState() throws IOException {
    state = folder.resolve("state");
    Arrays.write(state, List.of(new Arrays.Named("x", new long[] {2}, new float[] {1, 2})));
  }

  private static Engine fake(String name, String mode) {
    String path = System.getProperty("java.class.path");
    return new Engine(
        name, List.of("-Xshare:auto", "-cp", path, FakePeer.class.getName(), mode), List.of());
  }

  private List<Result> steps(String ours, String... modes) throws PeerException {
    List<Engine> peers = new ArrayList<>();
    for (String mode : modes) {
      peers.add(fake(mode, mode));
    }
    return new StepContest(Workload.MLP, 1, PLAN, state, folder)
        .run(fake(Engine.GRADUS, ours), peers);
  }

  private static Result of(List<Result> results, String engine) {
    return results.stream().filter(r -> r.engine().equals(engine)).findFirst().orElseThrow();
  }

  @Test
  void onePeerAfterAnotherMisbehaves() throws PeerException {
    List<Result> results =
        steps(
            FakePeer.GOOD,
            FakePeer.GOOD,
            FakePeer.DIES,
            FakePeer.HANGS,
            FakePeer.GARBAGE,
            FakePeer.REFUSES,
            FakePeer.DIES_LATE,
            FakePeer.BROKEN_CLOCK,
            FakePeer.DIFFERS);
    assertEquals(9, results.size());
    assertEquals(Engine.GRADUS, results.get(0).engine());
    assertNull(results.get(0).advantage());
    assertEquals(3, results.get(0).values().size());

    Result good = of(results, FakePeer.GOOD);
    assertTrue(good.measured());
    assertNotNull(good.advantage());
    assertFalse(good.disagrees());
    assertTrue(of(results, FakePeer.DIFFERS).disagrees());

    missing(results, FakePeer.DIES, "its process ended");
    missing(results, FakePeer.DIES, "it was not to be");
    missing(results, FakePeer.HANGS, "no answer to 'settings mlp 1' in 3 s");
    missing(results, FakePeer.GARBAGE, "its worker answered 'hello, world'");
    missing(results, FakePeer.REFUSES, "not on this machine");
    missing(results, FakePeer.DIES_LATE, "its process ended");
    missing(results, FakePeer.BROKEN_CLOCK, "its worker measured 0.0 s");
    Comparison table = new Comparison(results);
    assertEquals(2 + results.size(), table.table().text().lines().count());
    assertEquals(2, table.notes().size());
    assertTrue(table.notes().get(1).contains("DISAGREE"), table.notes().get(1));
  }

  private static void missing(List<Result> results, String engine, String reason) {
    Result result = of(results, engine);
    assertFalse(result.measured());
    assertFalse(result.disagrees());
    assertTrue(result.about().contains(reason), result.about());
    assertEquals(1, result.about().lines().count());
  }

  @Test
  void withoutOursThereIsNothingToCompare() {
    assertThrows(PeerException.class, () -> steps(FakePeer.DIES, FakePeer.GOOD));
  }

  @Test
  void tinyOperationsAreTimed() throws PeerException {
    List<Result> results =
        new TinyContest(1, PLAN, folder).run(fake(Engine.GRADUS, FakePeer.GOOD), List.of());
    double nanoseconds = results.get(0).median();
    assertTrue(nanoseconds > 1e6 && nanoseconds < 1e9, "a nap of 1 ms took " + nanoseconds + " ns");
    assertEquals("a nap", results.get(0).about());
  }

  @Test
  void coldStartsAreTimed() throws PeerException {
    List<Result> results =
        new StartContest(1, PLAN, state, folder).run(fake(Engine.GRADUS, FakePeer.GOOD), List.of());
    assertEquals(3, results.get(0).values().size());
    assertTrue(results.get(0).median() > 0.01, "a virtual machine started in " + results);
  }

  @Test
  void peersThatAreNotBuiltAreLines() throws IOException {
    Path empty = Files.createDirectories(folder.resolve("torch").resolve("target"));
    Peers peers = Peers.find(folder, List.of("torch", "tf"));
    assertTrue(peers.found().isEmpty());
    List<Result> lines = peers.missing("mlp step", Unit.IMAGES_PER_SECOND, 2);
    assertEquals(List.of("torch", "tf"), lines.stream().map(Result::engine).toList());
    assertTrue(lines.get(0).about().startsWith("not here"), lines.get(0).about());
    assertTrue(Files.isDirectory(empty));
  }

  @Test
  void downloadsLeaveTheBenchmarksOut() throws IOException {
    List<Path> jars = new ArrayList<>();
    for (String name : List.of("gradus-1.jar", "jmh-core-1.jar", "gradus-benchmarks-1.jar")) {
      jars.add(Files.write(folder.resolve(name), new byte[2_000_000]));
    }
    Engine ours = new Engine(Engine.GRADUS, List.of(), jars);
    Engine peer = new Engine("other", List.of(), List.of(jars.get(0), jars.get(0)));
    List<Result> results =
        Downloads.measure(1, ours, List.of(peer, new Engine("no", List.of(), List.of())));
    assertEquals(2, results.get(0).median());
    assertEquals("2.00 (2.00-2.00)", String.valueOf(results.get(1).advantage()));
    assertFalse(results.get(2).measured());
  }

  @Test
  void lossesMustBeNumbersAndAsMany() {
    assertEquals(0.25, Result.difference(List.of(2.0, 1.0), List.of(2.0, 1.5)));
    assertTrue(disagrees(Result.difference(List.of(2.0, 1.0), List.of(2.0))));
    assertTrue(disagrees(Result.difference(List.of(2.0), List.of(Double.NaN))));
    assertFalse(disagrees(Result.difference(List.of(2.0), List.of(2.001))));
  }

  private static boolean disagrees(double difference) {
    return new Result("", Unit.SECONDS, 1, "", "", List.of(1.0), null, 0, difference).disagrees();
  }

  @Test
  void anAdvantageIsAboveOneWhereOursIsBetter() {
    assertEquals(2, Unit.IMAGES_PER_SECOND.advantage(20, 10));
    assertEquals(2, Unit.SECONDS.advantage(10, 20));
  }
}
