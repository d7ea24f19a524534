package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.gradus.backend.LeakDetector;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import io.gradus.nn.Module;
import io.gradus.optim.AdamW;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/** What an eager training step leaves to the garbage collector. */
class StepGarbageTest {
  /**
   * Of an interpreted step; a compiled one makes half, since objects that stay in a method are not
   * made.
   */
  private static final long MOST_BYTES = 48 * 1024;

  @Test
  void aStepMakesLittleGarbage() {
    LeakDetector.Level level = LeakDetector.level();
    LeakDetector.setLevel(LeakDetector.Level.OFF);
    try (Scope s = Scope.open()) {
      Generator.seed(1);
      Module model = Networks.MLP.create(Shape.of(784), 10);
      AdamW optimizer = new AdamW(model.parameters(), 1e-3);
      Tensor x = Tensor.randn(16, 784);
      Tensor y = Tensor.zeros(16).to(DType.INT64);
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long self = Thread.currentThread().getId();
      long before = 0;
      for (int i = 0; i < 60; i++) {
        if (i == 20) {
          before = threads.getThreadAllocatedBytes(self);
        }
        try (Scope step = Scope.open()) {
          Tensor loss = Loss.crossEntropy(model.forward(x), y);
          optimizer.zeroGrad();
          loss.backward();
          optimizer.step();
        }
      }
      long bytes = (threads.getThreadAllocatedBytes(self) - before) / 40;
      assertTrue(bytes <= MOST_BYTES, () -> bytes + " bytes a step");
    } finally {
      LeakDetector.setLevel(level);
    }
  }
}
