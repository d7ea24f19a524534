package io.gradus.benchmarks.engines;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.gradus.backend.Profile;
import io.gradus.backend.Profiler.Phase;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(200)
class StepProfileTest {
  private static final double EXACT = 1e-6;

  @TempDir private Path folder;

  private static Profile.Entry entry(
      Phase phase, String operation, long calls, double total, double self, double flops) {
    return new Profile.Entry(
        phase, operation, "float32", "4x5x6", calls, total, self, self / 4, flops, 1e9);
  }

  /** In a process of its own, as the benchmark does. */
  @Test
  void aWorkerProfilesEagerSteps() throws PeerException, IOException {
    Path state = folder.resolve("state");
    Engine.writeState(Workload.TINY_GPT, state);
    Plan plan = new Plan(2, 0.01, 0.01, 100, 1);
    StepProfile p =
        Engine.gradus("cpu")
            .profile(Workload.TINY_GPT, 1, state, plan, folder.resolve("profile.csv"));
    assertTrue(p.steps() >= 3 && p.plain() > 0, p::toString);
    double self = p.entries().stream().mapToDouble(Profile.Entry::self).sum();
    assertEquals(p.seconds(), self + p.outside() + p.overhead(), EXACT, p::toString);
    for (Phase phase : Phase.values()) {
      assertTrue(p.entries().stream().anyMatch(e -> e.phase() == phase), phase + ": " + p);
    }
    long adam =
        p.entries().stream()
            .filter(e -> e.phase() == Phase.OPTIMIZER && e.operation().equals("adam"))
            .mapToLong(Profile.Entry::calls)
            .sum();
    assertEquals(p.steps(), adam, p::toString);
  }

  @Test
  void theReportSaysSharesAndRates() throws IOException {
    StepProfile p =
        new StepProfile(
            2,
            3.5,
            4,
            0.9,
            0.1,
            List.of(
                entry(Phase.FORWARD, "matmul", 4, 2, 2, 5e9),
                entry(Phase.BACKWARD, "unary relu", 2, 0.968, 0.968, 0),
                entry(Phase.BACKWARD, "linearBackward", 2, 1, 0.01, 5e9),
                entry(Phase.OPTIMIZER, "adam", 2, 0.02, 0.02, 0)));
    Path file = folder.resolve("profile.csv");
    p.write(file);
    assertEquals(p, StepProfile.read(file));
    ProfileSection section =
        new ProfileSection(
            List.of(
                new ProfileSection.Measured("mlp gradus", 2, p, new Peak(20e9, 8e9, "measured")),
                new ProfileSection.Measured(
                    "mlp gradus-cuda", 2, p, new Peak(Double.NaN, Double.NaN, "unknown"))));
    List<String> lines =
        section.table().text().lines().map(line -> line.replaceAll(" +", " ")).toList();
    assertTrue(
        lines.contains(
            "| mlp gradus | 2 | forward | matmul | float32 | 4x5x6 | 2 | 1,000.00 ms | 50.0% | 10.0"
                + " | 50.0% | | |"),
        lines::toString);
    assertTrue(
        lines.contains(
            "| mlp gradus | 2 | backward | unary relu | float32 | 4x5x6 | 1 | 484.00 ms | 24.2% | |"
                + " | 2.1 | 25.8% |"),
        lines::toString);
    assertTrue(
        lines.contains("| mlp gradus | 2 | | 2 others | | | | 15.00 ms | 0.8% | | | | |"),
        lines::toString);
    assertTrue(
        lines.stream().anyMatch(l -> l.contains("outside of operations") && l.contains("22.5%")),
        lines::toString);
    assertTrue(
        lines.contains(
            "| mlp gradus-cuda | 2 | forward | matmul | float32 | 4x5x6 | 2 | 1,000.00 ms | 50.0% |"
                + " 10.0 | | | |"),
        lines::toString);
    assertTrue(
        section.notes().get(0).startsWith("mlp gradus, threads 2: 1,750.00 ms a step, 2,000.00 ms")
            && section
                .notes()
                .get(0)
                .contains("products have 50.0% of it at 50.0% of the FMA peak"),
        section.notes()::toString);
    assertEquals(9, section.values().csv().lines().count());
    StringWriter text = new StringWriter();
    try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
      section.json(json);
    }
    assertTrue(text.toString().contains("\"peakFlops\":2.0E10"), text::toString);
    assertTrue(section.charts().isEmpty());
  }

  @Test
  void theBetterOfTwoMeasurementsIsTheLimit() {
    Peak best = new Peak(2, 5, "a").best(new Peak(3, 4, "b"));
    assertEquals(new Peak(3, 5, "a before, b after"), best);
    assertTrue(Double.isNaN(new Peak(Double.NaN, 5, "a").best(best).flops()));
  }

  @Test
  void whatIsNoProfileIsRefused() throws IOException {
    Path file = folder.resolve("profile.csv");
    for (String text : List.of("", "a,b\n1,2\n", "phase,total,calls\n,x,1\n")) {
      Files.writeString(file, text);
      assertThrows(IOException.class, () -> StepProfile.read(file), text);
    }
  }
}
