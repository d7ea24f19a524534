package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.TestDevices;
import org.junit.jupiter.api.Test;

/** What a graph records, what backward leaves behind, and how it refuses misuse. */
class AutogradTest {
  private static Tensor leaf(double... values) {
    return Tensor.of(values).requiresGrad(true);
  }

  private static double[] grad(Tensor x) {
    Tensor g = x.grad();
    assertNotNull(g, "no gradient");
    return g.toDoubles();
  }

  private static String message(Class<? extends Throwable> type, Runnable call) {
    return assertThrows(type, call::run).getMessage();
  }

  @Test
  void accumulates() {
    Tensor x = leaf(1, 2, 3);
    x.square().sum().backward();
    assertArrayEquals(new double[] {2, 4, 6}, grad(x));
    x.mul(10).sum().backward();
    assertArrayEquals(new double[] {12, 14, 16}, grad(x));
  }

  @Test
  void usesTheSameInputSeveralTimes() {
    Tensor x = leaf(3);
    x.mul(x).mul(x).add(x).sum().backward();
    assertArrayEquals(new double[] {28}, grad(x));
  }

  @Test
  void sumsPathsOfDifferentLength() {
    Tensor x = leaf(2);
    Tensor a = x.mul(3);
    Tensor b = a.square();
    Tensor c = b.add(a).mul(x);
    c.add(b).sum().backward();
    // f = (9x^2 + 3x) x + 9x^2
    assertArrayEquals(new double[] {27 * 4 + 6 * 2 + 18 * 2}, grad(x));
  }

  @Test
  void zeroGradForgets() {
    Tensor x = leaf(1, 2);
    x.sum().backward();
    x.zeroGrad();
    assertNull(x.grad());
    x.mul(5).sum().backward();
    assertArrayEquals(new double[] {5, 5}, grad(x));
  }

  @Test
  void gradKeepsItsValueWhenTheGradientPassedInChanges() {
    Tensor x = leaf(1, 2);
    Tensor seed = Tensor.of(new double[] {1, 1});
    x.add(0).backward(seed);
    seed.fill(100);
    assertArrayEquals(new double[] {1, 1}, grad(x));
  }

  @Test
  void twoLeavesDoNotShareOneGradientBuffer() {
    Tensor a = leaf(1, 2);
    Tensor b = leaf(3, 4);
    a.add(b).sum().backward();
    a.sum().backward();
    assertArrayEquals(new double[] {2, 2}, grad(a));
    assertArrayEquals(new double[] {1, 1}, grad(b));
  }

  @Test
  void leavesHaveNoGradientWithoutBackward() {
    Tensor x = leaf(1);
    assertNull(x.grad());
    assertTrue(x.isLeaf());
    Tensor y = x.mul(2);
    assertFalse(y.isLeaf());
    assertTrue(y.requiresGrad());
  }

  @Test
  void noGradRecordsNothing() {
    Tensor x = leaf(1, 2);
    Tensor y;
    try (GradMode.Guard g = GradMode.noGrad()) {
      y = x.mul(2);
      assertFalse(GradMode.isEnabled());
      try (GradMode.Guard inner = GradMode.enableGrad()) {
        assertTrue(x.mul(2).requiresGrad());
      }
      assertFalse(GradMode.isEnabled());
    }
    assertTrue(GradMode.isEnabled());
    assertFalse(y.requiresGrad());
    assertTrue(
        message(IllegalStateException.class, () -> y.sum().backward())
            .contains("[backward] the tensor [] requires no gradient"));
  }

  @Test
  void noGradIsOfTheThreadAlone() throws InterruptedException {
    boolean[] recorded = new boolean[1];
    Tensor x = leaf(1);
    try (GradMode.Guard g = GradMode.noGrad()) {
      Thread other = new Thread(() -> recorded[0] = x.mul(2).requiresGrad());
      other.start();
      other.join();
    }
    assertTrue(recorded[0]);
  }

  @Test
  void detachCutsTheGraphAndSharesMemory() {
    Tensor x = leaf(1, 2);
    Tensor d = x.detach();
    assertFalse(d.requiresGrad());
    x.mul(d).sum().backward();
    assertArrayEquals(new double[] {1, 2}, grad(x));
    d.fill(7);
    assertArrayEquals(new double[] {7, 7}, x.toDoubles());
  }

  @Test
  void intermediateGradientsAreKeptOnRequestAlone() {
    Tensor x = leaf(1, 2);
    Tensor kept = x.mul(3);
    Tensor other = kept.mul(2);
    kept.retainGrad();
    other.sum().backward();
    assertArrayEquals(new double[] {2, 2}, grad(kept));
    assertNull(other.grad());
    assertThrows(IllegalStateException.class, () -> Tensor.ones(1).retainGrad());
  }

  @Test
  void backwardTwiceNeedsRetainGraph() {
    Tensor x = leaf(1, 2);
    Tensor y = x.square().sum();
    y.backward(true, false);
    y.backward();
    assertArrayEquals(new double[] {4, 8}, grad(x));
    String message = message(IllegalStateException.class, y::backward);
    assertTrue(message.contains("backward was called twice"), message);
    assertTrue(message.contains("retainGraph"), message);
  }

  @Test
  void aSharedPartCannotBeWalkedAfterItWasFreed() {
    Tensor x = leaf(1, 2);
    Tensor shared = x.exp();
    Tensor a = shared.sum();
    Tensor b = shared.square().sum();
    a.backward();
    assertTrue(
        message(IllegalStateException.class, b::backward).contains("[exp] backward was called"));
  }

  @Test
  void backwardNeedsOneElementOrAGradient() {
    Tensor x = leaf(1, 2);
    Tensor y = x.mul(2);
    assertTrue(message(ShapeException.class, y::backward).contains("[backward]"));
    assertTrue(
        message(ShapeException.class, () -> y.backward(Tensor.of(new double[] {1})))
            .contains("the gradient has shape [1] but the tensor [2]"));
    y.backward(Tensor.of(new double[] {1, -1}));
    assertArrayEquals(new double[] {2, -2}, grad(x));
  }

  @Test
  void backwardOfALeafIsItsSeed() {
    Tensor x = Tensor.of(new double[] {3}).requiresGrad(true);
    x.backward();
    assertArrayEquals(new double[] {1}, grad(x));
  }

  @Test
  void severalRootsAtOnce() {
    Tensor x = leaf(1, 2);
    Tensor a = x.mul(2);
    Tensor b = x.square();
    Autograd.backward(
        new Tensor[] {a, b},
        new Tensor[] {Tensor.of(new double[] {1, 1}), Tensor.of(new double[] {10, 10})},
        false,
        false);
    assertArrayEquals(new double[] {22, 42}, grad(x));
  }

  @Test
  void theSameRootTwiceCountsTwice() {
    Tensor x = leaf(1, 2);
    Tensor y = x.mul(2).sum();
    Tensor one = Tensor.of(new double[] {1}).reshape();
    Autograd.backward(new Tensor[] {y, y}, new Tensor[] {one, one}, false, false);
    assertArrayEquals(new double[] {4, 4}, grad(x));
  }

  @Test
  void gradLeavesTheLeavesAlone() {
    Tensor x = leaf(1, 2);
    Tensor w = leaf(3, 4);
    Tensor unused = leaf(5);
    Tensor[] g = Autograd.grad(x.mul(w).sum(), x, w, unused);
    assertArrayEquals(new double[] {3, 4}, g[0].toDoubles());
    assertArrayEquals(new double[] {1, 2}, g[1].toDoubles());
    assertArrayEquals(new double[] {0}, g[2].toDoubles());
    assertNull(x.grad());
    assertNull(w.grad());
  }

  @Test
  void gradOfAnIntermediateAndOfAnInputBehindIt() {
    Tensor x = leaf(2);
    Tensor h = x.square();
    Tensor[] g = Autograd.grad(h.mul(h).sum(), h, x);
    assertArrayEquals(new double[] {8}, g[0].toDoubles());
    assertArrayEquals(new double[] {32}, g[1].toDoubles());
  }

  @Test
  void gradOfTheOutputItself() {
    Tensor x = leaf(2);
    Tensor y = x.square().sum();
    assertEquals(1, Autograd.grad(y, y)[0].item());
  }

  @Test
  void gradOfTheSameInputTwice() {
    Tensor x = leaf(2);
    Tensor[] g = Autograd.grad(x.square().sum(), x, x);
    assertArrayEquals(new double[] {4}, g[0].toDoubles());
    assertArrayEquals(new double[] {4}, g[1].toDoubles());
    g[0].close();
    assertArrayEquals(new double[] {4}, g[1].toDoubles(), "one handle for two results");
  }

  @Test
  void gradRefusesWhatHasNone() {
    Tensor x = leaf(2);
    Tensor plain = Tensor.of(new double[] {1});
    assertTrue(
        message(IllegalStateException.class, () -> Autograd.grad(x.sum(), plain))
            .contains("requires no gradient"));
    assertTrue(
        message(ShapeException.class, () -> Autograd.grad(leaf(1, 2).mul(2), x))
            .contains("[grad] output has shape [2]"));
  }

  @Test
  void gradWorksOnOtherDevices() {
    Tensor x =
        Tensor.of(new double[] {1, 2}).to(TestDevices.threads(2)).detach().requiresGrad(true);
    Tensor unused =
        Tensor.of(new double[] {1}).to(TestDevices.threads(2)).detach().requiresGrad(true);
    Tensor[] g = Autograd.grad(x.square().sum(), x, unused);
    assertEquals(TestDevices.threads(2), g[0].device());
    assertEquals(TestDevices.threads(2), g[1].device());
    assertArrayEquals(new double[] {2, 4}, g[0].toDoubles());
  }

  @Test
  void gradientsCrossDevicesAndTypes() {
    Tensor x = Tensor.of(new float[] {1, 2}).requiresGrad(true);
    Tensor y = x.to(TestDevices.primitives()).to(DType.FLOAT64).square().sum();
    y.backward();
    Tensor g = x.grad();
    assertNotNull(g);
    assertEquals(DType.FLOAT32, g.dtype());
    assertEquals(x.device(), g.device());
    assertArrayEquals(new double[] {2, 4}, g.toDoubles());
  }

  @Test
  void integersHaveNoGradients() {
    String message =
        message(DTypeException.class, () -> Tensor.of(new int[] {1}).requiresGrad(true));
    assertTrue(message.contains("[requiresGrad] only floating tensors"), message);
  }

  @Test
  void aResultCannotStopRequiringGradients() {
    Tensor y = leaf(1).mul(2);
    String message = message(IllegalStateException.class, () -> y.requiresGrad(false));
    assertTrue(message.contains("was computed by mul: use detach()"), message);
  }

  @Test
  void viewsShareMemoryAndGradients() {
    Tensor x = leaf(1, 2, 3, 4, 5, 6);
    Tensor m = x.reshape(2, 3).t();
    assertArrayEquals(new double[] {1, 4, 2, 5, 3, 6}, m.toDoubles());
    m.select(0, 1).mul(Tensor.of(new double[] {10, 100})).sum().backward();
    assertArrayEquals(new double[] {0, 10, 0, 0, 100, 0}, grad(x));
    try (GradMode.Guard g = GradMode.noGrad()) {
      m.slice(0, 0, 1).fill(-1);
    }
    assertArrayEquals(new double[] {-1, 2, 3, -1, 5, 6}, x.toDoubles());
  }

  @Test
  void backwardOfADeepGraphNeedsNoStack() {
    Tensor x = leaf(1);
    Tensor y = x;
    for (int i = 0; i < 20_000; i++) {
      y = y.add(1);
    }
    y.sum().backward();
    assertArrayEquals(new double[] {1}, grad(x));
  }

  @Test
  void gradWalksDeepAndWideGraphs() {
    Tensor x = leaf(1);
    Tensor y = x;
    for (int i = 0; i < 2000; i++) {
      y = y.mul(0.5).add(y.mul(0.5));
    }
    assertArrayEquals(new double[] {1}, Autograd.grad(y.sum(), x)[0].toDoubles());
  }

  /** The example of {@link Function}. */
  private static final class Cube extends Function {
    Cube() {
      super("cube");
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      save(in[0]);
      return new Tensor[] {in[0].mul(in[0]).mul(in[0])};
    }

    @Override
    protected Tensor[] backward(Tensor... g) {
      Tensor x = saved(0);
      return new Tensor[] {g[0].mul(x.mul(x).mul(3))};
    }
  }

  @Test
  void customFunction() {
    Tensor x = leaf(2, -1);
    new Cube().apply(x).sum().backward();
    assertArrayEquals(new double[] {12, 3}, grad(x));
    Tensor first = Autograd.grad(new Cube().apply(x).sum(), new Tensor[] {x}, true, true)[0];
    assertArrayEquals(new double[] {12, -6}, Autograd.grad(first.sum(), x)[0].toDoubles());
  }

  @Test
  void aFunctionServesOnce() {
    Cube cube = new Cube();
    Tensor x = leaf(2);
    cube.apply(x);
    assertTrue(
        message(IllegalStateException.class, () -> cube.apply(x))
            .contains("[cube] a Function instance serves one application"));
  }

  /** Two outputs, one of which may stay unused. */
  private static final class SumAndDifference extends Function {
    SumAndDifference() {
      super("sumAndDifference");
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      return new Tensor[] {in[0].add(in[1]), in[0].sub(in[1])};
    }

    @Override
    protected Tensor[] backward(Tensor... g) {
      Tensor[] out = new Tensor[2];
      if (g[0] != null) {
        out[0] = g[0];
        out[1] = g[0];
      }
      if (g[1] != null) {
        out[0] = out[0] == null ? g[1] : out[0].add(g[1]);
        out[1] = out[1] == null ? g[1].neg() : out[1].sub(g[1]);
      }
      return out;
    }
  }

  @Test
  void unusedOutputsHaveNoGradient() {
    Tensor a = leaf(1);
    Tensor b = leaf(2);
    Tensor[] both = new SumAndDifference().applyAll(a, b);
    both[1].sum().backward();
    assertArrayEquals(new double[] {1}, grad(a));
    assertArrayEquals(new double[] {-1}, grad(b));
    Tensor[] again = new SumAndDifference().applyAll(a, b);
    again[0].mul(2).add(again[1]).sum().backward();
    assertArrayEquals(new double[] {4}, grad(a));
    assertArrayEquals(new double[] {0}, grad(b));
  }
}
