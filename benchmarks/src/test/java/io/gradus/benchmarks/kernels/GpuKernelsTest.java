package io.gradus.benchmarks.kernels;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.backend.ProductPrecision;
import io.gradus.benchmarks.engines.LibraryWorker;
import io.gradus.benchmarks.engines.PeerException;
import io.gradus.benchmarks.engines.PythonWorker;
import io.gradus.benchmarks.libraries.ConvGeometry;
import io.gradus.benchmarks.libraries.KernelSpec;
import io.gradus.benchmarks.report.Table;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What GPUs are measured with, tried without one. */
class GpuKernelsTest {
  private static final Limits LIMITS = new Limits(1e11, 3e11, 1e12, 1e10, 1 << 20, "a test");

  @TempDir private Path folder;

  private static KernelCase kernel(double flops, double bytes, Goal goal) {
    return new KernelCase(
        "matmul",
        "name",
        "sizes",
        DType.BFLOAT16,
        ProductPrecision.EXACT,
        flops,
        bytes,
        bench -> () -> {},
        goal,
        "softmax 8 16 bfloat16");
  }

  @Test
  void everyKindOfGpuKernelRuns() {
    Backend backend = Backends.of(Device.reference());
    long before = backend.allocator().liveBytes();
    Set<String> tried = new HashSet<>();
    for (KernelCase kernel : KernelCases.smallOfGpus()) {
      try (DeviceCalls calls = DeviceCalls.of(backend, kernel, (long) kernel.bytes())) {
        assertTrue(calls.seconds(4) > 0);
      }
      tried.add(kernel.name());
    }
    tried.add("AdamW");
    tried.add("batch");
    tried.add("causal attention");
    tried.add("causal attention, gradient");
    for (KernelCase kernel : KernelCases.ofGpus()) {
      assertTrue(tried.contains(kernel.name()) || kernel.group().equals("matmul"), kernel.name());
    }
    assertEquals(before, backend.allocator().liveBytes());
  }

  @Test
  void gpuKernelsDifferAndCoverEveryGroup() {
    Set<String> keys = new HashSet<>();
    Set<String> groups = new HashSet<>();
    for (KernelCase kernel : KernelCases.ofGpus()) {
      assertTrue(keys.add(kernel.key()), kernel.key());
      groups.add(kernel.group());
    }
    assertEquals(KernelCases.groups(), groups);
  }

  @Test
  void theScriptKnowsEveryKernel() throws IOException {
    Path script = Path.of(PythonWorker.command(folder, PythonWorker.EAGER).get(1));
    String text = Files.readString(script.resolveSibling("kernels.py"));
    for (KernelCase kernel : KernelCases.ofGpus()) {
      String name = kernel.peer().split(" ", 2)[0];
      assertTrue(text.contains("    \"" + name + "\": "), kernel.peer());
      String type = kernel.peer().substring(kernel.peer().lastIndexOf(' ') + 1);
      assertTrue(Set.of("float32", "tf32", "bfloat16", "float16").contains(type), kernel.peer());
    }
  }

  /** What a library's worker will read of our sizes. */
  @Test
  void librariesReadTheirKernelsSizes() {
    Set<String> known = new HashSet<>();
    for (KernelCase kernel : KernelCases.ofGpus()) {
      KernelSpec spec = KernelSpec.parse(kernel.peer());
      if (LibraryWorker.knows(LibraryWorker.CUBLAS, kernel.peer())) {
        int others = spec.name().startsWith("batched") ? 1 : 0;
        double flops = 2.0 * (others == 0 ? 1 : spec.number(1));
        for (int i = 1; i <= 3; i++) {
          flops *= spec.number(others + i);
        }
        assertEquals(kernel.flops(), flops, kernel.peer());
        known.add(spec.name());
      }
      if (spec.name().equals("conv")) {
        ConvGeometry g = ConvGeometry.of(spec);
        long elements = g.x().elements() + g.w().elements() + g.y().elements();
        assertEquals(kernel.bytes(), elements * (double) spec.bytes(), kernel.peer());
      }
      if (LibraryWorker.knows(LibraryWorker.CUDNN, kernel.peer())) {
        known.add(spec.name());
      }
    }
    assertEquals(
        Set.of(
            "matmul",
            "batched_matmul",
            "conv",
            "batch_norm",
            "batch_norm_gradient",
            "softmax",
            "softmax_gradient",
            "max_pool",
            "max_pool_gradient",
            "average_pool",
            "dropout"),
        known);
  }

  @Test
  void everyScriptIsPutThere() throws IOException {
    Path script = Path.of(PythonWorker.command(folder, PythonWorker.EAGER).get(1));
    assertEquals(
        names(Path.of("src/main/resources/io/gradus/benchmarks/torch")), names(script.getParent()));
  }

  private static Set<String> names(Path of) throws IOException {
    try (Stream<Path> files = Files.list(of)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.endsWith(".py"))
          .collect(Collectors.toSet());
    }
  }

  @Test
  void operandsAreRotatedBeyondTheCache() {
    assertEquals(1, DeviceCalls.sets(kernel(1, 1000, Goal.NONE), 0));
    assertEquals(1, DeviceCalls.sets(kernel(1, 1e12, Goal.NONE), 60 << 20));
    assertEquals(3, DeviceCalls.sets(kernel(1, 1e6, Goal.NONE), 1_000_000));
    assertEquals(64, DeviceCalls.sets(kernel(1, 4, Goal.NONE), 60 << 20));
    List<Integer> order = new ArrayList<>();
    int[] made = {0};
    KernelCase counting =
        new KernelCase(
            "g",
            "n",
            "s",
            DType.FLOAT32,
            1,
            1,
            bench -> {
              int set = made[0]++;
              return () -> order.add(set);
            });
    try (DeviceCalls calls = DeviceCalls.of(Backends.of(Device.reference()), counting, 1)) {
      calls.seconds(5);
      calls.record(1, 1);
      assertFalse(calls.isRecorded());
    }
    assertEquals(List.of(0, 1, 2, 0, 1), order);
  }

  @Test
  void goalsAreMetOrMissed() {
    Goal goal = Goal.ofEager(1).andLimit(0.5);
    KernelCase kernel = kernel(1e12, 1, goal);
    Map<String, List<Double>> slower = Map.of(PythonWorker.EAGER, List.of(2.0, 3.0, 4.0));
    KernelResult good = new KernelResult("d", kernel, LIMITS, List.of(1.0, 1.5, 2.0), slower, "");
    assertEquals("met: 50% of the limit, met: 1.00 of pytorch", goal.verdict(good));
    KernelResult bad = new KernelResult("d", kernel, LIMITS, List.of(9.0, 9.0, 9.0), slower, "");
    assertEquals("MISSED: 50% of the limit, MISSED: 1.00 of pytorch", goal.verdict(bad));
    assertEquals("", goal.verdict(new KernelResult("d", kernel, LIMITS, List.of(), "failed")));
    assertEquals("", Goal.NONE.verdict(good));
  }

  @Test
  void tensorCoresLimitProductsAlone() {
    assertEquals(1, LIMITS.seconds(kernel(1e12, 1, Goal.NONE)));
    KernelCase tf32 =
        new KernelList(DType.FLOAT32)
            .matmul(ProductPrecision.TF32, 10, 10, 10, false, true)
            .matmul(ProductPrecision.TF32X3, 10, 10, 10, false, true)
            .cases()
            .get(1);
    assertEquals("tf32x3", tf32.type());
    assertEquals("matmul NT 10 10 10 float32", tf32.peer());
    Limits arithmetic = new Limits(1, 300, 1, 1e30, 0, "");
    assertEquals(2000.0 / 100, arithmetic.seconds(tf32), 1e-9);
  }

  @Test
  void aStoppedRunGoesOn() throws IOException {
    Path file = folder.resolve("deep/log.tsv");
    KernelCase kernel = kernel(1, 1, Goal.NONE);
    Map<String, List<Double>> peers = Map.of(PythonWorker.EAGER, List.of(3.0, 0.5));
    KernelLog log = new KernelLog(file, true);
    log.add(new KernelResult("cuda:0", kernel, LIMITS, List.of(1.0, 2e-6), peers, ""));
    log.add(new KernelResult("cuda:1", kernel, LIMITS, List.of(), "no\tmemory"));
    Files.writeString(
        file, "\ncuda:2\t" + kernel.key() + "\t\tgradus=1.", StandardOpenOption.APPEND);
    KernelLog again = new KernelLog(file, true);
    KernelResult first = again.find("cuda:0", kernel, LIMITS);
    assertNotNull(first);
    assertEquals(List.of(1.0, 2e-6), first.seconds());
    assertEquals(peers, first.peers());
    KernelResult failed = again.find("cuda:1", kernel, LIMITS);
    assertNotNull(failed);
    assertEquals("no memory", failed.problem());
    assertFalse(failed.measured());
    assertNull(again.find("cuda:2", kernel, LIMITS));
    assertNull(again.find("cuda:0", KernelCases.ofGpus().get(0), LIMITS));
    assertNull(new KernelLog(file, false).find("cuda:0", kernel, LIMITS));
  }

  @Test
  void whatBecomesSlowerIsNamed() throws IOException {
    KernelCase kernel = kernel(1, 1, Goal.NONE);
    Path file = folder.resolve("regression.csv");
    KernelResult before = new KernelResult("cuda:0", kernel, LIMITS, List.of(1e-4), "");
    Files.writeString(file, Regression.table(List.of(before)).csv());
    KernelResult now = new KernelResult("cuda:0", kernel, LIMITS, List.of(1.2e-4), "");
    List<String> lines = Regression.slower(file, List.of(now), 8);
    assertEquals(1, lines.size());
    assertTrue(lines.get(0).startsWith("SLOWER by 20%: cuda:0, name sizes bfloat16: 120.0 us"));
    assertTrue(Regression.slower(file, List.of(now), 25).isEmpty());
    KernelResult elsewhere = new KernelResult("cuda:1", kernel, LIMITS, List.of(1.0), "");
    assertTrue(Regression.slower(file, List.of(elsewhere), 8).isEmpty());
    Files.writeString(file, "a,b\n1,2\n");
    assertThrows(IOException.class, () -> Regression.slower(file, List.of(now), 8));
  }

  @Test
  void theFastestTilesBecomeATable() {
    List<KernelCase> kernels =
        new KernelList(DType.FLOAT32)
            .matmul(ProductPrecision.TF32, 64, 32, 48, false, true)
            .matmul(ProductPrecision.TF32, 64, 32, 48, true, false)
            .matmul(64, 32, 48, false, true)
            .cases();
    Map<String, Double> planned = new HashMap<>();
    kernels.forEach(kernel -> planned.put(kernel.key(), 10.0));
    Tuning tuning = new Tuning(planned);
    for (Tuning.Choice choice : Tuning.choices()) {
      Map<String, Double> micros = new HashMap<>(planned);
      // Tiles of the wrong kind leave the choice, so what they seem to give does not count.
      if (choice.text().equals("2,2,4")) {
        kernels.forEach(kernel -> micros.put(kernel.key(), 8.0));
      } else if (choice.text().equals("5,1,1")) {
        kernels.forEach(kernel -> micros.put(kernel.key(), 9.9));
      }
      tuning.add(choice, micros);
    }
    Table about = new Table("product", "plan", "fastest", "choice", "");
    assertEquals(
        List.of("TUNED(tf32, false, true, 64, 32, 48, 1, 2, 4)"), tuning.lines(kernels, 2, about));
    assertTrue(about.text().contains("| 5,1,1  |"), about.text());
    assertEquals(4, about.text().lines().count());
    assertEquals(24, Tuning.choices().size());
  }

  @Test
  void peersThatMisbehaveAreLines() throws Exception {
    String answers =
        "while read -r line; do case $line in about) echo fake 1;; kernel*) echo ready;;"
            + " repeat*) echo 0.5;; esac; done";
    KernelCase kernel = kernel(1, 1, Goal.NONE);
    try (KernelPeers peers =
        KernelPeers.start(
            Map.of(
                KernelPeers.EAGER,
                List.of("sh", "-c", answers),
                "silent",
                List.of("sh", "-c", "echo no torch here >&2"),
                "absent",
                List.of("/nowhere/python3")),
            folder)) {
      assertEquals(List.of(KernelPeers.EAGER), peers.prepare(kernel, 0));
      assertEquals(0.5, peers.seconds(KernelPeers.EAGER, 3));
      assertThrows(PeerException.class, () -> peers.seconds("silent", 1));
      assertEquals(3, peers.notes().size());
      assertTrue(peers.notes().contains(KernelPeers.EAGER + ": fake 1"), "" + peers.notes());
      assertTrue(
          peers.notes().stream().anyMatch(n -> n.startsWith("silent: left out, its process ended")),
          "" + peers.notes());
    }
    assertTrue(KernelPeers.none().prepare(kernel, 0).isEmpty());
  }

  @Test
  void librariesThatAreNotHereAreLines() throws IOException {
    try (KernelPeers peers =
        KernelPeers.start(List.of(LibraryWorker.CUBLAS, LibraryWorker.CUDNN), folder)) {
      assertEquals(2, peers.notes().size(), "" + peers.notes());
      for (String name : List.of(LibraryWorker.CUBLAS, LibraryWorker.CUDNN)) {
        assertTrue(
            peers.notes().stream().anyMatch(note -> note.startsWith(name + ": ")),
            "" + peers.notes());
      }
    }
  }

  @Test
  void aPeerOfSomeKernelsIsAskedForTheseAlone() {
    String answers =
        "while read -r line; do case $line in about) echo fake;; *) echo ready;; esac; done";
    List<String> command = List.of("sh", "-c", answers);
    Map<String, List<String>> commands =
        Map.of(
            LibraryWorker.CUBLAS,
            command,
            LibraryWorker.CUDNN,
            command,
            PythonWorker.CUDNN_ATTENTION,
            command);
    try (KernelPeers peers = KernelPeers.start(commands, folder)) {
      assertEquals(List.of(LibraryWorker.CUDNN), peers.prepare(kernel(1, 1, Goal.NONE), 0));
      KernelCase product =
          new KernelList(DType.FLOAT32).matmul(2, 2, 2, false, true).cases().get(0);
      assertEquals(List.of(LibraryWorker.CUBLAS), peers.prepare(product, 0));
      KernelCase layer = new KernelList(DType.FLOAT32).layerNorm(2, 2).cases().get(0);
      assertTrue(peers.prepare(layer, 0).isEmpty());
      KernelCase attention =
          new KernelList(DType.BFLOAT16).attention(1, 1, 2, 8, true).cases().get(0);
      assertEquals(List.of(PythonWorker.CUDNN_ATTENTION), peers.prepare(attention, 0));
    }
  }

  @Test
  void withoutTorchTheScriptSaysSo() throws Exception {
    List<String> command = new ArrayList<>(PythonWorker.command(folder, PythonWorker.EAGER));
    // Where there is a torch, isolation from its folder hides it.
    command.addAll(1, List.of("-I", "-S"));
    Process process;
    try {
      process = new ProcessBuilder(command).start();
    } catch (IOException e) {
      org.junit.jupiter.api.Assumptions.abort("there is no python3: " + e.getMessage());
      return;
    }
    process.getOutputStream().write("about\n".getBytes(StandardCharsets.UTF_8));
    process.getOutputStream().close();
    String answer = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals("error No module named 'torch'\n", answer);
  }

  @Test
  void theTunerRefusesADeviceWithoutItsTiles() {
    var refusal =
        assertThrows(ArgumentException.class, () -> TuneBenchmark.checkHasTiles(Device.cpu()));
    assertTrue(refusal.getMessage().contains("compute capability 9.0"), refusal.getMessage());
    assertDoesNotThrow(() -> TuneBenchmark.checkHasTiles(new Device("emulated", 0)));
  }
}
