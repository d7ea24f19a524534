package io.gradus.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class ModuleTest {
  /**
   * A parameter, an integer buffer and a child, registered in another order than they are listed.
   */
  private static final class Custom extends Module {
    final Linear child = registerModule("child", new Linear(2, 2));
    final Tensor count = registerBuffer("count", Tensor.of(new long[] {3}));
    final Tensor scale = registerParameter("scale", Tensor.ones(2));

    @Override
    public Tensor forward(Tensor x) {
      return child.call(x).mul(scale);
    }
  }

  private static Sequential model() {
    return new Sequential(new Linear(3, 4), new BatchNorm1d(4), new ReLU(), new Custom2());
  }

  /** A container without parameters of its own. */
  private static final class Custom2 extends Module {
    final Linear inner = registerModule("inner", new Linear(4, 2, false));

    @Override
    public Tensor forward(Tensor x) {
      return inner.call(x);
    }
  }

  @Test
  void namesAreDottedPathsInOrderOfRegistration() {
    assertEquals(
        List.of("0.weight", "0.bias", "1.weight", "1.bias", "3.inner.weight"),
        new ArrayList<>(model().namedParameters().keySet()));
    assertEquals(
        List.of(
            "0.weight",
            "0.bias",
            "1.weight",
            "1.bias",
            "1.running_mean",
            "1.running_var",
            "3.inner.weight"),
        new ArrayList<>(model().stateDict().keySet()));
    assertEquals(
        List.of("scale", "count", "child.weight", "child.bias"),
        new ArrayList<>(new Custom().stateDict().keySet()));
    assertEquals(12 + 4 + 8 + 8, model().parameterCount());
  }

  @Test
  void aSharedParameterCountsOnce() {
    Linear shared = new Linear(3, 3);
    Sequential twice = new Sequential(shared, new ReLU(), shared);
    assertEquals(12, twice.parameterCount());
    assertEquals(4, twice.namedParameters().size());
    twice.to(DType.FLOAT64);
    assertEquals(DType.FLOAT64, shared.weight().dtype());
  }

  @Test
  void modesReachEveryModule() {
    Sequential m = model();
    m.eval();
    assertTrue(m.namedModules().values().stream().noneMatch(Module::isTraining));
    m.train();
    assertTrue(m.namedModules().values().stream().allMatch(Module::isTraining));
  }

  @Test
  void convertingKeepsHandlesAndIntegers() {
    Custom m = new Custom();
    Tensor weight = m.child.weight();
    float[] before = weight.toFloats();
    m.to(DType.FLOAT64);
    assertSame(weight, m.namedParameters().get("child.weight"));
    assertEquals(DType.FLOAT64, weight.dtype());
    assertEquals(DType.INT64, m.count.dtype());
    assertArrayEquals(before, weight.toFloats());
    assertTrue(weight.requiresGrad());
    assertThrows(DTypeException.class, () -> m.to(DType.INT32));
  }

  @Test
  void parametersOutliveTheScopeTheyAreMadeIn() {
    Module m;
    try (Scope s = Scope.open()) {
      m = model();
      m.to(DType.FLOAT64);
    }
    assertEquals(4, m.eval().forward(Tensor.zeros(2, 3).to(DType.FLOAT64)).numel());
  }

  @Test
  void aFrozenModuleGetsNoGradients() {
    Sequential m = new Sequential(new Linear(2, 2), new Linear(2, 1));
    m.get(0).freeze();
    m.forward(Tensor.ones(1, 2)).sum().backward();
    assertNull(((Linear) m.get(0)).weight().grad());
    assertNotNull(((Linear) m.get(1)).weight().grad());
    m.unfreeze();
    assertTrue(((Linear) m.get(0)).weight().requiresGrad());
    m.zeroGrad();
    assertNull(((Linear) m.get(1)).weight().grad());
  }

  @Test
  void aStateMovesFromModuleToModule() {
    Generator.seed(1);
    Sequential a = model();
    a.forward(Tensor.randn(8, 3));
    Sequential b = model();
    b.to(DType.FLOAT64);
    b.loadStateDict(a.stateDict());
    a.stateDict()
        .forEach((name, t) -> assertArrayEquals(t.toFloats(), tensor(b, name).toFloats(), name));
    assertEquals(DType.FLOAT64, tensor(b, "0.weight").dtype());
  }

  private static Tensor tensor(Module m, String name) {
    return Objects.requireNonNull(m.stateDict().get(name));
  }

  @Test
  void aForeignStateIsRefusedAndChangesNothing() {
    Sequential m = model();
    float[] before = tensor(m, "0.weight").toFloats();
    Map<String, Tensor> state = new HashMap<>();
    m.stateDict().forEach((k, v) -> state.put(k, Tensor.zeros(v.shape().dims())));
    state.remove("1.bias");
    state.put("9.extra", Tensor.zeros(1));
    ArgumentException names = assertThrows(ArgumentException.class, () -> m.loadStateDict(state));
    assertTrue(names.getMessage().contains("missing [1.bias]"), names.getMessage());
    assertTrue(names.getMessage().contains("unexpected [9.extra]"), names.getMessage());
    state.put("1.weight", Tensor.zeros(5));
    ShapeException shapes = assertThrows(ShapeException.class, () -> m.loadStateDict(state, false));
    assertTrue(shapes.getMessage().contains("1.weight is [5] instead of [4]"));
    state.put("1.weight", Tensor.of(new long[4]));
    assertThrows(DTypeException.class, () -> m.loadStateDict(state, false));
    assertArrayEquals(before, tensor(m, "0.weight").toFloats());
    state.remove("1.weight");
    Module.LoadResult result = m.loadStateDict(state, false);
    assertEquals(List.of("1.weight", "1.bias"), result.missing());
    assertEquals(List.of("9.extra"), result.unexpected());
    assertArrayEquals(new float[12], tensor(m, "0.weight").toFloats());
  }

  @Test
  void namesAreChecked() {
    Custom m = new Custom();
    for (String name : new String[] {"", "a.b", "scale", "count", "child"}) {
      assertThrows(ArgumentException.class, () -> m.registerModule(name, new ReLU()), name);
    }
  }

  @Test
  void hooksSeeEveryCallUntilTheyAreRemoved() {
    Sequential m = new Sequential(new BatchNorm1d(2), new ReLU());
    List<String> seen = new ArrayList<>();
    GradMode.Guard first = m.get(0).registerForwardHook((self, x, y) -> seen.add("norm"));
    GradMode.Guard second = m.get(1).registerForwardHook((self, x, y) -> seen.add("relu"));
    m.forward(Tensor.ones(3, 2));
    first.close();
    second.close();
    m.forward(Tensor.ones(3, 2));
    assertEquals(List.of("norm", "relu"), seen);
  }

  @Test
  void theTreeNamesEveryModule() {
    assertEquals(
        """
        Sequential(
          (0): Linear(3, 4)
          (1): BatchNorm1d(4)
          (2): ReLU
          (3): Custom2(
            (inner): Linear(4, 2, no bias)
          )
        )\
        """,
        model().toString());
  }

  @Test
  void theSummaryChangesNothing() {
    Sequential m =
        new Sequential(new Linear(3, 4), new BatchNorm1d(4), new ReLU(), new Dropout(0.5));
    m.get(1).eval();
    m.get(0).freeze();
    long offset = Generator.current().offset();
    Summary summary = m.summary(Shape.of(5, 3));
    assertEquals(offset, Generator.current().offset());
    assertTrue(m.isTraining());
    assertFalse(m.get(1).isTraining());
    assertArrayEquals(new float[4], tensor(m, "1.running_mean").toFloats());
    assertEquals(4, summary.rows().size());
    assertEquals(new Summary.Row("0", "Linear(3, 4)", Shape.of(5, 4), 16), summary.rows().get(0));
    assertEquals(new Summary.Row("2", "ReLU", Shape.of(5, 4), 0), summary.rows().get(2));
    assertEquals(24, summary.parameters());
    assertEquals(8, summary.trainable());
    assertTrue(summary.toString().endsWith("24 parameters, 8 trainable"), summary.toString());
    Summary ids = new Embedding(10, 4).summary(Shape.of(2, 6), DType.INT64);
    assertEquals(Shape.of(2, 6, 4), ids.rows().get(0).output());
  }
}
