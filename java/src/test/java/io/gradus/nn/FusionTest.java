package io.gradus.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.backend.Activation;
import io.gradus.core.DType;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Folded modules give what the plain ones give. */
class FusionTest {
  /** Counts how often it was folded. */
  private static final class Probe extends Module implements TakesEpilogue {
    int folded;

    @Override
    public Tensor forward(Tensor x) {
      return x.mul(2);
    }

    @Override
    public boolean takesEpilogue() {
      return true;
    }

    @Override
    public Tensor forward(Tensor x, @Nullable Tensor residual, Activation activation) {
      folded++;
      Tensor y = residual == null ? forward(x) : forward(x).add(residual);
      return activation == Activation.RELU ? y.relu() : y;
    }
  }

  private static Sequential model() {
    Generator.seed(3);
    Conv2dOptions same = Conv2dOptions.of(1, 1);
    return new Sequential(
        new Conv2d(2, 3, 3, same),
        new BatchNorm2d(3),
        new ReLU(),
        new Residual(
            new Sequential(
                new Conv2d(3, 3, 3, same), new BatchNorm2d(3), new ReLU(), new BatchNorm2d(3)),
            new Identity(),
            new ReLU()),
        new Residual(new BatchNorm2d(3)),
        new Residual(
            new Sequential(
                new BatchNorm2d(3),
                new ReLU(),
                new Conv2d(3, 2, 1),
                new BatchNorm2d(2),
                new ReLU(),
                new Conv2d(2, 2, 3, same),
                new BatchNorm2d(2),
                new ReLU(),
                new Conv2d(2, 3, 1),
                new BatchNorm2d(3)),
            new Identity(),
            new ReLU()),
        new Sequential(
            new Conv2d(3, 3, 1),
            new BatchNorm2d(3),
            new ReLU(),
            new Conv2d(3, 3, 1),
            new Identity()),
        new GlobalAvgPool2d(),
        new Sequential(new Linear(3, 4), new BatchNorm1d(4)),
        new ReLU());
  }

  private static Map<String, double[]> results(boolean fused, boolean training) {
    String before = System.getProperty("gradus.fusion");
    System.setProperty("gradus.fusion", fused ? "on" : "off");
    try (Scope s = Scope.open()) {
      Sequential m = model();
      m.to(DType.FLOAT64);
      m.train(training);
      Tensor x = Tensor.randn(4, 5, 5, 2).to(DType.FLOAT64).detach().requiresGrad(true);
      Tensor y = m.forward(x);
      y.mul(Tensor.randn(4, 4).to(DType.FLOAT64)).sum().backward();
      Map<String, double[]> out = new LinkedHashMap<>();
      out.put("y", y.toDoubles());
      out.put("x.grad", Objects.requireNonNull(x.grad()).toDoubles());
      m.namedParameters()
          .forEach((k, p) -> out.put(k, Objects.requireNonNull(p.grad(), k).toDoubles()));
      m.namedBuffers().forEach((k, b) -> out.put(k, b.toDoubles()));
      return out;
    } finally {
      if (before == null) {
        System.clearProperty("gradus.fusion");
      } else {
        System.setProperty("gradus.fusion", before);
      }
    }
  }

  @Test
  void fusedAndPlainAgree() {
    for (boolean training : new boolean[] {true, false}) {
      Map<String, double[]> fused = results(true, training);
      Map<String, double[]> plain = results(false, training);
      assertEquals(plain.keySet(), fused.keySet());
      plain.forEach(
          (name, want) ->
              assertArrayEquals(want, Objects.requireNonNull(fused.get(name)), 1e-10, name));
    }
  }

  @Test
  void whatDeclaresItselfIsFolded() {
    Probe probe = new Probe();
    Tensor x = Tensor.of(new float[] {-1, 1});
    assertArrayEquals(new float[] {0, 2}, new Sequential(probe, new ReLU()).forward(x).toFloats());
    assertEquals(1, probe.folded);
    assertArrayEquals(
        new float[] {-3, 3}, new Residual(new Sequential(probe)).forward(x).toFloats());
    assertEquals(2, probe.folded);
    assertArrayEquals(
        new float[] {0, 2},
        new Sequential(new Sequential(probe), new ReLU()).forward(x).toFloats());
    assertEquals(3, probe.folded);
    new Sequential(probe, new Tanh()).forward(x);
    new Sequential(probe, new Dropout(0.5), new ReLU()).forward(x);
    assertEquals(3, probe.folded);
  }

  @Test
  void aHookedModuleIsNotFolded() {
    Probe probe = new Probe();
    Sequential m = new Sequential(probe, new ReLU());
    m.get(1).registerForwardHook((self, x, y) -> {});
    m.forward(Tensor.ones(2));
    assertEquals(0, probe.folded);
  }
}
