package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** Hooks on leaves and on results; gradient buffers with a fixed place. */
class GradientHooksTest {
  private static Tensor leaf(double... values) {
    return Tensor.of(values).requiresGrad(true);
  }

  private static double[] grad(Tensor x) {
    return Objects.requireNonNull(x.grad()).toDoubles();
  }

  @Test
  void hookOfALeafSeesTheWholeGradientOnce() {
    Tensor x = leaf(2, 3);
    List<double[]> seen = new ArrayList<>();
    x.registerHook(
        g -> {
          seen.add(g.toDoubles());
          return g;
        });
    x.mul(x).add(x).sum().backward();
    assertEquals(1, seen.size());
    assertArrayEquals(new double[] {5, 7}, seen.get(0));
    assertArrayEquals(new double[] {5, 7}, grad(x));
  }

  @Test
  void hookReplacesTheGradientOfALeaf() {
    Tensor x = leaf(2, 3);
    x.registerHook(g -> g.mul(10));
    x.sum().backward();
    assertArrayEquals(new double[] {10, 10}, grad(x));
  }

  @Test
  void hookReplacesTheGradientOfAResult() {
    Tensor x = leaf(2, 3);
    Tensor y = x.mul(4);
    y.retainGrad();
    y.registerHook(g -> g.clamp(-1, 1));
    y.mul(Tensor.of(new double[] {5, -7})).sum().backward();
    assertArrayEquals(new double[] {1, -1}, grad(y));
    assertArrayEquals(new double[] {4, -4}, grad(x));
  }

  @Test
  void hooksRunInOrderAndCanBeRemoved() {
    Tensor x = leaf(1);
    GradMode.Guard first = x.registerHook(g -> g.add(1));
    x.registerHook(g -> g.mul(2));
    x.sum().backward();
    assertArrayEquals(new double[] {4}, grad(x));
    first.close();
    x.zeroGrad();
    x.sum().backward();
    assertArrayEquals(new double[] {2}, grad(x));
  }

  @Test
  void hookAlsoActsOnRequestedGradients() {
    Tensor x = leaf(1);
    x.registerHook(g -> g.mul(3));
    assertArrayEquals(new double[] {3}, Autograd.grad(x.sum(), x)[0].toDoubles());
  }

  @Test
  void aHookThatThrowsEndsBackward() {
    Tensor x = leaf(1);
    x.registerHook(
        g -> {
          throw new UnsupportedOperationException("stop");
        });
    Tensor loss = x.sum();
    assertThrows(UnsupportedOperationException.class, loss::backward);
    assertNull(x.grad());
    // The engine's scopes and modes are closed behind it.
    assertNull(Scope.current());
    assertEquals(true, GradMode.isEnabled());
  }

  @Test
  void hookNeedsAGradient() {
    assertThrows(IllegalStateException.class, () -> Tensor.ones(1).registerHook(g -> g));
  }

  @Test
  void weightGradientsAreComputedInTheirBuffer() {
    Tensor arena = Tensor.of(new double[6]);
    Tensor w = Tensor.of(new double[] {1, 2, 3, 4}).reshape(2, 2).requiresGrad(true);
    w.setGradBuffer(arena.slice(0, 1, 5).reshape(2, 2));
    Tensor x = Tensor.of(new double[] {1, 1, 2, 0}).reshape(2, 2);
    Linear.linear(x, w, null).sum().backward();
    assertArrayEquals(new double[] {0, 3, 1, 3, 1, 0}, arena.toDoubles());
    // A second gradient is added, also where it comes in the same backward.
    Linear.linear(x, w, null).sum().backward();
    assertArrayEquals(new double[] {0, 6, 2, 6, 2, 0}, arena.toDoubles());
    w.zeroGrad();
    Linear.linear(Linear.linear(x, w, null), w, null).sum().backward();
    // d/dW of the sum of x W^T W^T: columns of x W^T, and W summed over rows times x.
    assertArrayEquals(new double[] {0, 5 + 12, 13 + 4, 5 + 18, 13 + 6, 0}, arena.toDoubles());
  }

  @Test
  void aBackwardThatFailsLeavesTheBufferForTheNext() {
    Tensor w = Tensor.full(2, 1, 1).requiresGrad(true);
    w.setGradBuffer(Tensor.zeros(1, 1));
    Tensor v = Tensor.full(3, 1, 1).requiresGrad(true);
    Tensor doubled = v.mul(2);
    doubled.registerHook(
        g -> {
          throw new UnsupportedOperationException("stop");
        });
    Tensor x = Tensor.ones(1, 1);
    Tensor loss = Linear.linear(doubled, w, null).add(Linear.linear(x, w, null)).sum();
    assertThrows(UnsupportedOperationException.class, loss::backward);
    Linear.linear(x, w, null).sum().backward();
    assertArrayEquals(new double[] {1}, grad(w));
  }

  @Test
  void requestedGradientsLeaveTheBufferAlone() {
    Tensor buffer = Tensor.full(7, 1, 1);
    Tensor w = Tensor.full(2, 1, 1).requiresGrad(true);
    w.setGradBuffer(buffer);
    Tensor y = Linear.linear(Tensor.ones(1, 1), w, null).sum();
    assertArrayEquals(new double[] {1}, Autograd.grad(y, w)[0].toDoubles());
    assertArrayEquals(new double[] {7}, buffer.toDoubles());
    assertNull(w.grad());
  }

  @Test
  void hooksSeeAGradientOfTheirOwn() {
    Tensor w = Tensor.full(2, 1, 1).requiresGrad(true);
    w.setGradBuffer(Tensor.zeros(1, 1));
    w.registerHook(g -> g.mul(5));
    Linear.linear(Tensor.ones(1, 1), w, null).sum().backward();
    assertArrayEquals(new double[] {5}, grad(w));
  }

  @Test
  void gradientsAreWrittenIntoTheirBuffer() {
    Tensor arena = Tensor.of(new double[] {9, 9, 9, 9});
    Tensor x = leaf(1, 2);
    x.setGradBuffer(arena.slice(0, 1, 3));
    assertNull(x.grad());
    x.mul(5).sum().backward();
    assertArrayEquals(new double[] {9, 5, 5, 9}, arena.toDoubles());
    x.sum().backward();
    assertArrayEquals(new double[] {9, 6, 6, 9}, arena.toDoubles());
    x.zeroGrad();
    x.mul(2).sum().backward();
    assertArrayEquals(new double[] {9, 2, 2, 9}, arena.toDoubles());
  }

  @Test
  void aGradientMovesIntoItsBuffer() {
    Tensor x = leaf(1, 2);
    x.mul(5).sum().backward();
    Tensor arena = Tensor.of(new double[] {0, 0});
    x.setGradBuffer(arena);
    assertArrayEquals(new double[] {5, 5}, grad(x));
    assertArrayEquals(new double[] {5, 5}, arena.toDoubles());
  }

  @Test
  void setDataMovesTheMemoryUnderEveryHolder() {
    Tensor x = leaf(1, 2);
    Tensor arena = Tensor.of(new double[] {7, 3, 4});
    x.setData(arena.slice(0, 1, 3));
    assertArrayEquals(new double[] {3, 4}, x.toDoubles());
    x.square().sum().backward();
    assertArrayEquals(new double[] {6, 8}, grad(x));
    try (GradMode.Guard g = GradMode.noGrad()) {
      x.addInPlace(1);
    }
    assertArrayEquals(new double[] {7, 4, 5}, arena.toDoubles());
    assertThrows(IllegalStateException.class, () -> x.mul(2).setData(arena.slice(0, 0, 2)));
  }
}
