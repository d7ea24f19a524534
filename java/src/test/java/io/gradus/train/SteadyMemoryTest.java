package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.backend.LeakDetector;
import io.gradus.core.Device;
import io.gradus.data.DataLoader;
import io.gradus.data.TableDataset;
import io.gradus.nn.Linear;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Sequential;
import io.gradus.optim.AdamW;
import io.gradus.optim.Optimizer;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Training for long takes no more memory than training for a while. */
class SteadyMemoryTest {
  private static final int STEPS = 10_000;
  private static final int WARM_UP = 1_000;

  /** Room for what the JVM itself compiles and caches meanwhile: 250 bytes a step would show. */
  private static final long HEAP_BOUND = 2 << 20;

  /** More than the network, its gradients, the optimizer and the best weights take. */
  private static final long IN_USE = 8 << 10;

  /** Of the buffers a handful of steps may wait for the collector: one byte a step would show. */
  private static final long BUFFER_BOUND = STEPS - WARM_UP;

  private static final Allocator ALLOCATOR = Backends.of(Device.cpu()).allocator();

  private LeakDetector.Level level = LeakDetector.level();

  /** What other tests left, and the stacks of all allocations, would be what is measured. */
  @BeforeEach
  void clear() {
    level = LeakDetector.level();
    LeakDetector.setLevel(LeakDetector.Level.OFF);
    for (int i = 0; i < 10; i++) {
      System.gc();
    }
  }

  @AfterEach
  void detectAgain() {
    LeakDetector.setLevel(level);
  }

  private static Module network() {
    Generator.seed(1);
    return new Sequential(new Linear(8, 8), new ReLU(), new Linear(8, 2));
  }

  private record Use(long buffers, long heap) {
    static Use now() {
      Runtime runtime = Runtime.getRuntime();
      return new Use(ALLOCATOR.liveBytes(), runtime.totalMemory() - runtime.freeMemory());
    }
  }

  /** Collects until few enough buffers are left: the cleaner runs in a thread of its own. */
  private static Use settled(long enough) {
    Use use = Use.now();
    for (int tries = 0; tries < 200 && use.buffers() > enough; tries++) {
      System.gc();
      use = Use.now();
    }
    System.gc();
    return Use.now();
  }

  private static void assertSteady(Use early) {
    Use late = settled(early.buffers() + BUFFER_BOUND);
    assertTrue(
        late.buffers() <= early.buffers() + BUFFER_BOUND, () -> "buffers: " + early + " " + late);
    assertTrue(late.heap() <= early.heap() + HEAP_BOUND, () -> "heap: " + early + " " + late);
  }

  @Test
  void ofALoopThatClosesNothing() {
    long before = ALLOCATOR.liveBytes();
    Module model = network();
    Optimizer optimizer = new AdamW(model.parameters(), 1e-3);
    Use early = null;
    for (int step = 0; step < STEPS; step++) {
      if (step == WARM_UP) {
        early = settled(before + IN_USE);
      }
      Tensor x = Tensor.randn(4, 8);
      Tensor y = Tensor.of(new long[] {0, 1, 1, 0});
      Tensor loss = Loss.crossEntropy(model.call(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    }
    assertSteady(early);
  }

  @Test
  void ofTheTrainer() throws IOException {
    long before = ALLOCATOR.liveBytes();
    float[] values = new float[8 * 100];
    int[] labels = new int[100];
    Random random = new Random(3);
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextFloat();
      labels[i / 8] = i / 8 % 2;
    }
    List<String> features = List.of("a", "b", "c", "d", "e", "f", "g", "h");
    DataLoader loader =
        DataLoader.builder(
                new TableDataset("table", features, List.of("no", "yes"), values, labels))
            .batch(4)
            .shuffle(true)
            .build();
    Module model = network();
    int stepsPerEpoch = loader.batches();
    Use[] early = new Use[1];
    int[] epochs = {0};
    Trainer.builder(model, loader)
        .test(loader)
        .optimizer(new AdamW(model.parameters(), 1e-3))
        .earlyStopping(new EarlyStopping(STEPS, 0))
        .epochs(STEPS / stepsPerEpoch)
        .listener(
            new TrainingListener() {
              @Override
              public void epochEnded(History history, int all) {
                epochs[0]++;
                if (epochs[0] * stepsPerEpoch == WARM_UP) {
                  early[0] = settled(before + IN_USE);
                }
              }
            })
        .build()
        .fit();
    assertSteady(early[0]);
  }
}
