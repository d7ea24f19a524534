package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.backend.LeakDetector;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.testing.TestDevices;
import org.junit.jupiter.api.Test;

/** Programs that close nothing, and programs that close everything. */
class ConstantMemoryTest {
  private static final int STEPS = 10_000;

  private final Device device = TestDevices.isolated();

  private Allocator allocator() {
    return Backends.of(device).allocator();
  }

  private Tensor ones(long... dims) {
    return Tensor.full(device, DType.FLOAT32, Shape.of(dims), 1);
  }

  private static void step(Tensor x, Tensor w) {
    x.matmul(w).tanh().square().mean().backward();
    try (GradMode.Guard g = GradMode.noGrad()) {
      Tensor gradient = w.grad();
      assertNotNull(gradient);
      w.subInPlace(gradient.mul(0.01));
    }
    w.zeroGrad();
  }

  /** Collects until few enough allocations are left: the cleaner runs in a thread of its own. */
  private long collected(long enough) {
    long live = allocator().liveCount();
    for (int tries = 0; tries < 200 && live > enough; tries++) {
      System.gc();
      live = allocator().liveCount();
    }
    return live;
  }

  @Test
  void aLoopThatClosesNothingIsCollected() {
    LeakDetector.Level before = LeakDetector.level();
    LeakDetector.setLevel(LeakDetector.Level.OFF);
    try {
      // The input, the weights and their gradient stay.
      long expected = allocator().liveCount() + 3;
      Tensor x = ones(4, 8);
      Tensor w = ones(8, 8).requiresGrad(true);
      for (int i = 0; i < STEPS; i++) {
        step(x, w);
      }
      long after = collected(expected);
      assertTrue(
          after <= expected, () -> after + " allocations live, at most " + expected + " expected");
      assertEquals(8, w.size(0));
      assertEquals(8, x.size(1));
    } finally {
      LeakDetector.setLevel(before);
    }
  }

  @Test
  void aLoopInScopesLeavesNothingToTheCollector() {
    Tensor x = ones(4, 8);
    Tensor w = ones(8, 8).requiresGrad(true);
    step(x, w);
    long before = allocator().liveCount();
    for (int i = 0; i < 50; i++) {
      try (Scope s = Scope.open()) {
        step(x, w);
      }
      assertTrue(allocator().liveCount() <= before, "after step " + i);
    }
  }
}
