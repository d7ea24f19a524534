package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/** Several models train in several threads of one JVM without sharing state. */
class ConcurrentTrainingTest {
  private static final int MODELS = 4;
  private static final int STEPS = 40;

  /** Trains a small network with dropout; its final weights. */
  private static double[] train(int seed) {
    Generator before = Generator.current();
    try (Scope scope = Scope.open()) {
      Generator.seed(seed);
      Tensor x = Tensor.randn(24, 6);
      Tensor target = Tensor.randint(0, 3, 24);
      Tensor w1 = Tensor.randn(6, 16).requiresGrad(true);
      Tensor w2 = Tensor.randn(16, 3).requiresGrad(true);
      for (int step = 0; step < STEPS; step++) {
        try (Scope s = Scope.open()) {
          Tensor hidden = Dropout.dropout(x.matmul(w1).relu(), 0.25, true);
          Loss.crossEntropy(hidden.matmul(w2), target).backward();
          try (GradMode.Guard g = GradMode.noGrad()) {
            for (Tensor w : List.of(w1, w2)) {
              Tensor gradient = w.grad();
              assertNotNull(gradient);
              w.subInPlace(gradient.mul(0.1));
              w.zeroGrad();
            }
          }
        }
      }
      return Tensor.concat(0, w1.detach().reshape(-1), w2.detach().reshape(-1)).toDoubles();
    } finally {
      Generator.use(before);
    }
  }

  @Test
  void threadsGiveTheBitsOfTrainingAlone() throws Exception {
    List<double[]> alone = new ArrayList<>();
    for (int i = 0; i < MODELS; i++) {
      alone.add(train(i));
    }
    ExecutorService pool = Executors.newFixedThreadPool(MODELS);
    try {
      List<Future<double[]>> together = new ArrayList<>();
      for (int i = 0; i < MODELS; i++) {
        int seed = i;
        together.add(pool.submit(() -> train(seed)));
      }
      for (int i = 0; i < MODELS; i++) {
        assertArrayEquals(alone.get(i), together.get(i).get(), "model " + i);
      }
    } finally {
      pool.shutdownNow();
    }
  }
}
