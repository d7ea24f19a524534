package io.gradus.benchmarks.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.core.DType;
import io.gradus.core.Device;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class KernelRunTest {
  private static final Limits LIMITS = new Limits(1e11, 3e11, 1e12, 1e10, 0, "a test");

  private static KernelCase kernel(DType dtype, double flops, double bytes) {
    return new KernelCase("matmul", "name", "sizes", dtype, flops, bytes, bench -> () -> {});
  }

  @Test
  void everySmallKernelRuns() {
    Backend backend = Backends.of(Device.reference());
    long before = backend.allocator().liveBytes();
    for (KernelCase kernel : KernelCases.small()) {
      try (Workbench bench = new Workbench(backend)) {
        kernel.setup().prepare(bench).run();
      }
      assertTrue(kernel.bytes() > 0, kernel.name());
    }
    assertEquals(before, backend.allocator().liveBytes());
  }

  @Test
  void networksHaveEveryGroup() {
    Set<String> groups =
        KernelCases.ofNetworks().stream().map(KernelCase::group).collect(Collectors.toSet());
    assertEquals(KernelCases.groups(), groups);
  }

  @Test
  void operationsAreCountedAsTheFieldCountsThem() {
    KernelCase product = KernelCases.ofNetworks().get(0);
    assertEquals("128x512x784", product.shape());
    assertEquals(2.0 * 128 * 512 * 784, product.flops());
    assertEquals(4.0 * (128 * 784 + 512 * 784 + 128 * 512), product.bytes());
    KernelCase conv = new KernelList(DType.FLOAT32).conv(2, 8, 3, 5, 3, 2).cases().get(0);
    assertEquals("2x8x8x3 to 5, 3x3, stride 2", conv.shape());
    assertEquals(2.0 * 2 * 4 * 4 * 5 * 27, conv.flops());
    assertEquals(4.0 * (2 * 64 * 3 + 5 * 27 + 2 * 16 * 5), conv.bytes());
  }

  @Test
  void theSlowerOfArithmeticAndMemoryLimits() {
    assertEquals(1, LIMITS.seconds(kernel(DType.FLOAT32, 1e11, 1)));
    assertEquals(2, LIMITS.seconds(kernel(DType.FLOAT32, 1e11, 2e10)));
    assertEquals(0.1, LIMITS.seconds(kernel(DType.BFLOAT16, 1e11, 1)), 1e-12);
    KernelResult result =
        new KernelResult("cpu", kernel(DType.FLOAT32, 1e11, 1), LIMITS, List.of(2.0, 4.0, 9.0), "");
    assertEquals(0.25, result.share());
    assertEquals(25, result.gflops(), 1e-9);
  }

  @Test
  void failuresAndUnknownLimitsAreCells() throws IOException {
    Limits unknown = Limits.unknown("nobody knows");
    KernelSection section =
        new KernelSection(
            Map.of("dev:0", unknown),
            List.of(
                new KernelResult("dev:0", kernel(DType.FLOAT32, 1, 1), unknown, List.of(1.0), ""),
                new KernelResult(
                    "dev:0", kernel(DType.FLOAT32, 1, 1), unknown, List.of(), "out of memory")),
            List.of());
    assertTrue(section.table().text().contains("out of memory"), section.table().text());
    assertFalse(section.table().text().contains("NaN"), section.table().text());
    assertEquals(List.of("limits of dev:0: nobody knows"), section.notes());
    assertTrue(section.charts().isEmpty());
  }

  @Test
  void theProbesLineIsRead() {
    Limits limits = Probe.parse("AVX2 9.5e+10 2.25e+10", 2);
    assertEquals(9.5e10, limits.flops());
    assertEquals(2.25e10, limits.bytes());
    assertEquals(
        "95.0 GFLOP/s in AVX2 registers, 22.5 GB/s in STREAM's triad, threads 2", limits.source());
  }

  @Test
  void aBrokenProbeLeavesTheLimitsUnknown() throws IOException {
    assertFalse(Probe.parse("", 1).known());
    assertFalse(Probe.parse("AVX2 fast 1", 1).known());
    String java = System.getProperty("java.home") + "/bin/java";
    Limits limits = Probe.run(List.of(java, "-version"), 1);
    assertEquals("gradus_probe answered ''", limits.source());
  }
}
