package io.gradus.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.benchmarks.Bench.Kind;
import io.gradus.benchmarks.report.RunOptions;
import org.junit.jupiter.api.Test;

class BenchTest {
  private static Kind kind(String... args) {
    return Kind.of(args);
  }

  @Test
  void theFirstWordChooses() {
    assertEquals(Kind.ALL, kind());
    assertEquals(Kind.ALL, kind("--quick", "--peers", "torch"));
    assertEquals(Kind.STEPS, kind("steps", "--quick"));
    assertEquals(Kind.KERNELS, kind("kernels"));
    assertEquals(Kind.TUNE, kind("--tune", "--device", "cuda"));
    assertEquals(Kind.TUNE, kind("tune"));
    assertEquals(Kind.JMH, kind("jmh", "-l"));
    assertEquals(Kind.JMH, kind("-l"));
    assertEquals(Kind.JMH, kind("Matmul", "-p", "size=1024"));
  }

  @Test
  void badUseEndsWithTwo() {
    assertEquals(2, RunOptions.execute(new Bench(), new String[] {"--nonsense"}));
    assertEquals(2, RunOptions.execute(new Bench(), new String[] {"--threads", "0"}));
    assertEquals(2, RunOptions.execute(new Bench(), new String[] {"--rounds", "0"}));
    assertEquals(2, RunOptions.execute(new Bench(), new String[] {"--peers", "../torch"}));
  }
}
