package io.gradus.benchmarks.engines;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.nn.Module;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The workloads of GPUs, at sizes that can be tried without one. */
@Timeout(300)
class GpuWorkloadsTest {
  private static final List<Workload> TINY =
      List.of(Workload.TINY_RESNET18, Workload.TINY_RESNET50, Workload.TINY_GPT);

  @TempDir private Path folder;

  @Test
  void namesAreReadAsTheyAreWritten() {
    for (Workload workload : Workload.values()) {
      assertEquals(workload, Workload.parse(workload.label()));
    }
    assertEquals("tiny-gpt", Workload.TINY_GPT.label());
    assertEquals(64 * 256, Workload.GPT.samples());
    assertEquals(Unit.TOKENS_PER_SECOND, Workload.GPT.unit());
    assertEquals(128, Workload.RESNET50.samples());
  }

  /** Parameters as the papers and PyTorch count them. */
  @Test
  void networksHaveTheSizesThatTheyAreKnownFor() {
    assertEquals(11_689_512, parameters(Workload.RESNET18));
    assertEquals(25_557_032, parameters(Workload.RESNET50));
  }

  private static long parameters(Workload workload) {
    Module module = WorkloadNetworks.of(workload);
    long count = module.parameterCount();
    // Scopes do not free what networks own.
    module.namedParameters().values().forEach(Tensor::close);
    module.namedBuffers().values().forEach(Tensor::close);
    return count;
  }

  /** A worker of Gradus in each precision: losses fall, and captured steps have the same. */
  @Test
  void tinyWorkloadsTrain() throws PeerException, IOException {
    for (Workload workload : TINY) {
      Path state = folder.resolve(workload.label());
      Engine.writeState(workload, state);
      List<Double> exact = losses(workload, state, "float32", false);
      assertTrue(exact.get(2) < exact.get(0), workload + ": " + exact);
      if (workload == Workload.TINY_GPT) {
        assertEquals(exact, losses(workload, state, "float32", true));
        double rounded = losses(workload, state, "bf16", false).get(0);
        assertEquals(exact.get(0), rounded, 0.02);
        assertFalse(exact.contains(rounded));
      }
    }
  }

  private List<Double> losses(Workload workload, Path state, String precision, boolean capture)
      throws PeerException {
    Engine engine = Engine.gradus("cpu", precision, capture);
    try (Child child = engine.start(2, "", folder.resolve("log"), 200)) {
      String about = child.ask("open " + workload.label() + " 2 default");
      assertTrue(about.endsWith((capture ? "captured, " : "eager, ") + precision), about);
      child.ask("load " + state);
      List<Double> losses = child.numbers("losses 3");
      assertTrue(child.seconds("run 2") > 0);
      assertTrue(child.number("memory") > 0);
      return losses;
    }
  }

  @Test
  void theScriptKnowsEveryWorkload() throws IOException {
    Path worker = Path.of(PythonWorker.command(folder, PythonWorker.COMPILED, "bf16").get(1));
    String script = Files.readString(worker.resolveSibling("networks.py"));
    Set<String> names =
        Arrays.stream(Workload.values())
            .map(workload -> workload.label().replaceFirst("^tiny-", "").replace("gpt2", "gpt"))
            .collect(Collectors.toSet());
    for (String name : names) {
      assertTrue(script.contains("\"" + name + "\""), name);
    }
  }

  @Test
  void ourOwnEnginesAreNamedByTheirWays() {
    assertEquals("gradus", Engine.gradus().name());
    assertEquals("gradus-cuda", Engine.gradus("cuda", "bf16", false).name());
    assertEquals("gradus-cuda-captured", Engine.gradus("cuda", "bf16", true).name());
  }
}
