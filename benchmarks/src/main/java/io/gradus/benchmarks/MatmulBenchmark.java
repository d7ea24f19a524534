package io.gradus.benchmarks;

import io.gradus.tensor.GradMode;
import io.gradus.tensor.Tensor;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Square float32 matrix products through {@link Tensor#matmul}. The secondary result {@code gflop}
 * is the rate in GFLOP/s: 2 n^3 operations a product.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 7, time = 1)
public class MatmulBenchmark {
  /** Rows, columns and inner extent. */
  @Param({"256", "512", "1024", "2048"})
  public int size;

  private Tensor a = Tensor.scalar(0);
  private Tensor b = Tensor.scalar(0);

  /** For JMH. */
  public MatmulBenchmark() {}

  /** Counts floating-point operations, which JMH divides by the time. */
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  public static class Rate {
    /** Billions of floating-point operations. */
    public double gflop;

    /** For JMH. */
    public Rate() {}

    /** Starts an iteration at nothing. */
    @Setup(Level.Iteration)
    public void reset() {
      gflop = 0;
    }
  }

  /** Draws the operands. */
  @Setup
  public void setup() {
    a = Tensor.randn(size, size);
    b = Tensor.randn(size, size);
  }

  /** One product. */
  @Benchmark
  public float matmul(Rate rate) {
    try (GradMode.Guard g = GradMode.noGrad();
        Tensor c = a.matmul(b)) {
      rate.gflop += 2e-9 * size * size * size;
      return c.size(0);
    }
  }
}
