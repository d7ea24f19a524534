package io.gradus.benchmarks;

import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.nn.Module;
import io.gradus.optim.AdamW;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Tensor;
import io.gradus.train.Networks;
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
 * Whole training steps of the command line's networks: forward, cross-entropy, backward, AdamW. The
 * secondary result {@code images} is the rate in images/s.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 3)
@Measurement(iterations = 7, time = 3)
public class TrainStepBenchmark {
  private static final int CLASSES = 10;

  /** Which network: its batch and input are those that training commonly uses. */
  @Param({"MLP", "CNN", "RESNET20"})
  public Networks network = Networks.MLP;

  private int batch;
  private Tensor x = Tensor.scalar(0);
  private Tensor y = Tensor.scalar(0);
  private Module module = Networks.MLP.create(Shape.of(1), 2);
  private AdamW optimizer = new AdamW(module.parameters(), 0);

  /** For JMH. */
  public TrainStepBenchmark() {}

  /** Counts images, which JMH divides by the time. */
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  public static class Rate {
    /** Images trained on. */
    public long images;

    /** For JMH. */
    public Rate() {}

    /** Starts an iteration at nothing. */
    @Setup(Level.Iteration)
    public void reset() {
      images = 0;
    }
  }

  /** Makes the network and one batch. */
  @Setup
  public void setup() {
    Generator generator = Generator.seed(1);
    batch = network == Networks.MLP ? 128 : 64;
    Shape sample = network == Networks.RESNET20 ? Shape.of(32, 32, 3) : Shape.of(28, 28, 1);
    module = network.create(sample, CLASSES);
    module.train();
    optimizer = new AdamW(module.parameters(), 1e-3);
    x = generator.normal(Device.cpu(), DType.FLOAT32, sample.insert(0, batch), 0, 1);
    y = generator.integers(Device.cpu(), DType.INT64, Shape.of(batch), 0, CLASSES);
  }

  /** One step. */
  @Benchmark
  public double step(Rate rate) {
    try (io.gradus.tensor.Scope s = io.gradus.tensor.Scope.open()) {
      Tensor loss = Loss.crossEntropy(module.call(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      rate.images += batch;
      return loss.item();
    }
  }
}
