package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.core.Device;
import io.gradus.testing.TestDevices;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** A recomputed segment gives the bits of one that was kept. */
class GradientCheckpointTest {
  /** Values, gradients and the state of the generator of one training step. */
  private record Step(double loss, List<Double> gradX, List<Double> gradW, long drawn) {}

  private static List<Double> gradient(Tensor x) {
    return Arrays.stream(Objects.requireNonNull(x.grad()).toDoubles()).boxed().toList();
  }

  private static Step step(boolean checkpointed) {
    Generator before = Generator.current();
    try (Scope s = Scope.open()) {
      Generator.seed(5);
      Tensor x = Tensor.randn(16, 8).requiresGrad(true);
      Tensor w = Tensor.randn(8, 8).requiresGrad(true);
      GradientCheckpoint.Segment segment =
          in -> Dropout.dropout(in[0].matmul(w).gelu(), 0.4, true).matmul(w).tanh();
      Tensor h = checkpointed ? GradientCheckpoint.apply(segment, x) : segment.forward(x);
      Tensor loss = Dropout.dropout(h.square(), 0.2, true).mean();
      loss.backward();
      return new Step(loss.item(), gradient(x), gradient(w), Generator.current().offset());
    } finally {
      Generator.use(before);
    }
  }

  @Test
  void sameBitsAsTheKeptSegment() {
    Step kept = step(false);
    Step recomputed = step(true);
    assertEquals(kept.loss, recomputed.loss);
    assertEquals(kept.gradX, recomputed.gradX);
    assertEquals(kept.gradW, recomputed.gradW);
    assertEquals(kept.drawn, recomputed.drawn, "numbers drawn after the step would differ");
  }

  @Test
  void savesItsInputsAlone() {
    Device device = TestDevices.isolated();
    Allocator allocator = Backends.of(device).allocator();
    Tensor x = Tensor.ones(64).to(device).detach().requiresGrad(true);
    long before = allocator.liveCount();
    Tensor y;
    try (Scope s = Scope.open()) {
      y = s.keep(GradientCheckpoint.apply(in -> in[0].exp().tanh().sigmoid().sum(), x));
    }
    assertEquals(before + 1, allocator.liveCount());
    y.backward();
    y.close();
    assertEquals(before + 1, allocator.liveCount(), "the gradient alone is left");
  }

  @Test
  void inputsWithoutGradients() {
    Tensor x = Tensor.of(new double[] {1, 2}).requiresGrad(true);
    Tensor c = Tensor.of(new double[] {3, 4});
    GradientCheckpoint.apply(in -> in[0].mul(in[1]).sum(), x, c).backward();
    assertArrayEquals(new double[] {3, 4}, Objects.requireNonNull(x.grad()).toDoubles());
  }

  @Test
  void refusesSecondOrder() {
    Tensor x = Tensor.of(new double[] {1}).requiresGrad(true);
    Tensor y = GradientCheckpoint.apply(in -> in[0].square().sum(), x);
    String message =
        assertThrows(IllegalStateException.class, () -> y.backward(true, true)).getMessage();
    assertTrue(message.contains("[checkpoint]"), message);
  }
}
