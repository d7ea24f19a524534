package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.fail;

import io.gradus.core.DType;
import io.gradus.testing.LeakTracingOff;
import io.gradus.testing.Tolerances;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Random programs in the engine against {@link ScalarTape}. The system property {@code
 * gradus.property.seed} repeats one program; a failure prints its seed.
 */
class RandomGraphTest {
  private static final int GRAPHS = 10_000;

  private static void check(long seed) {
    TapeProgram graph = RandomGraph.of(seed);
    String what = "-Dgradus.property.seed=" + seed + ": " + graph;
    List<double[]> expected = graph.gradients();
    // float32 loses up to three digits where large terms cancel.
    compare(graph, what, expected, DType.FLOAT64, 1e-8);
    compare(graph, what, expected, DType.FLOAT32, 2e-3);
  }

  private static void compare(
      TapeProgram graph, String what, List<double[]> expected, DType dtype, double tolerance) {
    try (Scope s = Scope.open()) {
      Tensor[] results = graph.run(dtype);
      Tensor[] leaves = new Tensor[results.length - 1];
      System.arraycopy(results, 1, leaves, 0, leaves.length);
      Tolerances.assertClose(
          dtype + " loss, " + what,
          new double[] {graph.loss()},
          results[0].toDoubles(),
          tolerance,
          tolerance);
      Tensor[] gradients = Autograd.grad(results[0], leaves);
      for (int i = 0; i < leaves.length; i++) {
        Tolerances.assertClose(
            dtype + " gradient of leaf " + i + ", " + what,
            expected.get(i),
            gradients[i].toDoubles(),
            tolerance,
            tolerance);
      }
    } catch (RuntimeException e) {
      fail(dtype + ", " + what, e);
    }
  }

  @Test
  void engineAgreesWithTheTape() {
    try (LeakTracingOff off = new LeakTracingOff()) {
      Long seed = Long.getLong("gradus.property.seed");
      if (seed != null) {
        check(seed);
        return;
      }
      for (int i = 0; i < GRAPHS; i++) {
        check(i);
      }
    }
  }
}
