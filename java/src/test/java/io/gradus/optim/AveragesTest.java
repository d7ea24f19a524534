package io.gradus.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Tensor;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Moving averages of parameters, and slow weights. */
class AveragesTest {
  @Test
  void theAverageFollows() {
    Tensor w = Tensor.of(new float[] {8, -4}).requiresGrad(true);
    ExponentialMovingAverage average = new ExponentialMovingAverage(List.of(w), 0.75);
    assertArrayEquals(new float[] {8, -4}, average.averages().get(0).toFloats());
    w.detach().fill(4);
    average.update();
    assertArrayEquals(new float[] {7, -2}, average.averages().get(0).toFloats());
    average.update();
    assertArrayEquals(new float[] {6.25f, -0.5f}, average.averages().get(0).toFloats());
    assertArrayEquals(new float[] {4, 4}, w.toFloats());
    try (ExponentialMovingAverage.Guard g = average.use()) {
      assertArrayEquals(new float[] {6.25f, -0.5f}, w.toFloats());
    }
    assertArrayEquals(new float[] {4, 4}, w.toFloats());
    average.apply();
    assertArrayEquals(new float[] {6.25f, -0.5f}, w.toFloats());
  }

  @Test
  void averagesOfHalfPrecisionAreFloat32() {
    Tensor w = Tensor.of(new float[] {1}).to(DType.BFLOAT16);
    ExponentialMovingAverage average = new ExponentialMovingAverage(List.of(w), 0.999);
    assertEquals(DType.FLOAT32, average.averages().get(0).dtype());
    w.fill(2);
    average.update();
    assertEquals(1.001, average.averages().get(0).item(), 1e-6);
  }

  @Test
  void theAverageIsSavedAndRestored() {
    Tensor w = Tensor.of(new float[] {1, 2});
    ExponentialMovingAverage average = new ExponentialMovingAverage(List.of(w), 0.5);
    w.fill(5);
    average.update();
    ExponentialMovingAverage other = new ExponentialMovingAverage(List.of(w), 0.5);
    other.loadStateDict(average.stateDict());
    assertArrayEquals(new float[] {3, 3.5f}, other.averages().get(0).toFloats());
    assertThrows(ArgumentException.class, () -> other.loadStateDict(Map.of()));
    assertThrows(
        ShapeException.class, () -> other.loadStateDict(Map.of("average0", Tensor.ones(3))));
  }

  @Test
  void slowWeightsFollowAndAreGoneOnFrom() {
    Tensor w = Tensor.of(new float[] {8, -4}).requiresGrad(true);
    Lookahead lookahead = new Lookahead(List.of(w));
    w.detach().fill(4);
    lookahead.update(0.75);
    assertArrayEquals(new float[] {7, -2}, w.toFloats());
    w.detach().fill(100);
    lookahead.update(1);
    assertArrayEquals(new float[] {7, -2}, w.toFloats());
  }

  @Test
  void slowWeightsAreSavedAndRestored() {
    Tensor w = Tensor.of(new float[] {8, -4}).requiresGrad(true);
    Lookahead lookahead = new Lookahead(List.of(w));
    w.detach().fill(100);
    Lookahead other = new Lookahead(List.of(w));
    other.loadStateDict(lookahead.stateDict());
    other.update(1);
    assertArrayEquals(new float[] {8, -4}, w.toFloats());
    assertThrows(ArgumentException.class, () -> other.loadStateDict(Map.of()));
    assertThrows(ShapeException.class, () -> other.loadStateDict(Map.of("slow0", Tensor.ones(3))));
  }

  @Test
  void whatCannotBeAveragedIsRefused() {
    List<Tensor> numbers = List.of(Tensor.of(new long[] {1}));
    assertThrows(DTypeException.class, () -> new ExponentialMovingAverage(numbers, 0.5));
    assertThrows(DTypeException.class, () -> new Lookahead(numbers));
    assertThrows(ArgumentException.class, () -> new ExponentialMovingAverage(List.of(), 1.5));
    assertThrows(ArgumentException.class, () -> new Lookahead(List.of()).update(-0.1));
  }
}
