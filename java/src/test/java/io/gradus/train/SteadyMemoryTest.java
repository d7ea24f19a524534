package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Training for long takes no more memory than training for a while. */
class SteadyMemoryTest {
  private static final int STEPS = 11_000;
  private static final int WARM_UP = 1_000;
  private static final int WINDOW = 2_000;

  /**
   * What a window of steps may add. The JVM compiles, caches and moves its regions of megabytes
   * when it likes, but not in most windows; a leak grows in all of them, so that their median shows
   * it.
   */
  private static final long HEAP_BOUND = 250L * WINDOW;

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

  /** The use of memory after the warm-up and after each window of steps. */
  private static final class Watch {
    private final List<Use> uses = new ArrayList<>();
    private final long inUse = ALLOCATOR.liveBytes() + IN_USE;

    /** To be called after each step or epoch, with the number of the steps so far. */
    void after(int steps) {
      if (steps == WARM_UP) {
        uses.add(settled(inUse));
      } else if (steps > WARM_UP && (steps - WARM_UP) % WINDOW == 0) {
        uses.add(settled(uses.get(0).buffers() + BUFFER_BOUND));
      }
    }

    void assertSteady() {
      int windows = uses.size() - 1;
      assertEquals((STEPS - WARM_UP) / WINDOW, windows);
      assertTrue(
          uses.get(windows).buffers() <= uses.get(0).buffers() + BUFFER_BOUND,
          () -> "buffers: " + uses);
      long[] growth = new long[windows];
      for (int i = 0; i < windows; i++) {
        growth[i] = uses.get(i + 1).heap() - uses.get(i).heap();
      }
      Arrays.sort(growth);
      assertTrue(growth[windows / 2] <= HEAP_BOUND, () -> "heap: " + uses);
    }
  }

  @Test
  void ofALoopThatClosesNothing() {
    Watch watch = new Watch();
    Module model = network();
    Optimizer optimizer = new AdamW(model.parameters(), 1e-3);
    for (int step = 1; step <= STEPS; step++) {
      Tensor x = Tensor.randn(4, 8);
      Tensor y = Tensor.of(new long[] {0, 1, 1, 0});
      Tensor loss = Loss.crossEntropy(model.call(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      watch.after(step);
    }
    watch.assertSteady();
  }

  @Test
  void ofTheTrainer() throws IOException {
    Watch watch = new Watch();
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
                watch.after(++epochs[0] * stepsPerEpoch);
              }
            })
        .build()
        .fit();
    watch.assertSteady();
  }
}
