package io.gradus.benchmarks;

import io.gradus.backend.Backends;
import io.gradus.core.Device;
import io.gradus.nn.Linear;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Sequential;
import io.gradus.optim.AdamW;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Tensor;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Small training steps of a user who closes nothing and opens no scope: 100,000 after warming up,
 * ten measured iterations of 10,000. The times of the iterations must not rise (drift), and neither
 * must the memory printed after each: heap in use and bytes of live tensors after a garbage
 * collection.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 6, batchSize = 10_000)
@Measurement(iterations = 10, batchSize = 10_000)
public class DriftBenchmark {
  private static final int BATCH = 32;
  private static final int CLASSES = 10;
  private static final int FEATURES = 64;

  private Module module = new Sequential();
  private Tensor x = Tensor.scalar(0);
  private Tensor y = Tensor.scalar(0);
  private AdamW optimizer = new AdamW(new Linear(1, 1).parameters(), 0);

  /** For JMH. */
  public DriftBenchmark() {}

  /** Makes the network and one batch. */
  @Setup
  public void setup() {
    Generator.seed(1);
    module =
        new Sequential(new Linear(FEATURES, FEATURES), new ReLU(), new Linear(FEATURES, CLASSES));
    optimizer = new AdamW(module.parameters(), 1e-4);
    x = Tensor.randn(BATCH, FEATURES);
    y = Tensor.randint(0, CLASSES, BATCH);
  }

  /** One step. */
  @Benchmark
  public double step() {
    Tensor loss = Loss.crossEntropy(module.call(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss.item();
  }

  /** Prints what is in use. */
  @TearDown(Level.Iteration)
  public void report() {
    System.gc();
    Runtime runtime = Runtime.getRuntime();
    System.out.printf(
        "heap %.1f MB, live tensors %.3f MB  ",
        (runtime.totalMemory() - runtime.freeMemory()) * 1e-6,
        Backends.of(Device.cpu()).allocator().liveBytes() * 1e-6);
  }
}
