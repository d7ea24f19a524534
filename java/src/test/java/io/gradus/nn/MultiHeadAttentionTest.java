package io.gradus.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Attention as a layer. */
class MultiHeadAttentionTest {
  private static final int LENGTH = 3;

  private static double[] row(double[] x, int row, int cols) {
    return Arrays.copyOfRange(x, row * cols, (row + 1) * cols);
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  /** E = 4, four heads of one element, and two key heads, one place after the other. */
  private static double[] naive(Map<String, Tensor> state, double[] x, boolean causal) {
    double[] w = state.get("in_proj_weight").toDoubles();
    double[] b = state.get("in_proj_bias").toDoubles();
    double[][] projected = new double[LENGTH][8];
    for (int i = 0; i < LENGTH; i++) {
      for (int r = 0; r < 8; r++) {
        projected[i][r] = b[r] + dot(row(x, i, 4), row(w, r, 4));
      }
    }
    double[] out = new double[LENGTH * 4];
    for (int i = 0; i < LENGTH; i++) {
      double[] mixed = new double[4];
      for (int h = 0; h < 4; h++) {
        double sum = 0;
        for (int j = 0; j < (causal ? i + 1 : LENGTH); j++) {
          double e = Math.exp(projected[i][h] * projected[j][4 + h / 2]);
          sum += e;
          mixed[h] += e * projected[j][6 + h / 2];
        }
        mixed[h] /= sum;
      }
      for (int c = 0; c < 4; c++) {
        double[] weights = row(state.get("out_proj.weight").toDoubles(), c, 4);
        out[i * 4 + c] = state.get("out_proj.bias").toDoubles()[c] + dot(mixed, weights);
      }
    }
    return out;
  }

  @Test
  void everyHeadMixesThePlacesThatItSees() {
    Generator.seed(4);
    for (boolean causal : new boolean[] {false, true}) {
      Module layer =
          new MultiHeadAttention(4, 4, new MultiHeadAttention.Options(2, causal, 0.5)).eval();
      Map<String, Tensor> state = new LinkedHashMap<>(layer.stateDict());
      assertEquals(8, state.get("in_proj_weight").size(0));
      state.put("in_proj_bias", Tensor.randn(8));
      state.put("out_proj.bias", Tensor.randn(4));
      layer.loadStateDict(state);
      Tensor x = Tensor.randn(2, LENGTH, 4);
      double[] y = layer.forward(x).toDoubles();
      for (int n = 0; n < 2; n++) {
        double[] want = naive(state, x.select(0, n).toDoubles(), causal);
        assertArrayEquals(want, row(y, n, 4 * LENGTH), 1e-5);
      }
    }
  }

  @Test
  void weightsAreDroppedInTrainingOnly() {
    Generator.seed(5);
    Module layer = new MultiHeadAttention(8, 2, new MultiHeadAttention.Options(0, false, 0.5));
    Tensor x = Tensor.randn(1, 4, 8);
    assertFalse(Arrays.equals(layer.forward(x).toFloats(), layer.forward(x).toFloats()));
    layer.eval();
    assertArrayEquals(layer.forward(x).toFloats(), layer.forward(x).toFloats());
  }

  @Test
  void everyParameterTakesAGradient() {
    Generator.seed(6);
    Module layer = new MultiHeadAttention(6, 3);
    layer.forward(Tensor.randn(2, 5, 6)).square().sum().backward();
    layer
        .namedParameters()
        .forEach(
            (name, parameter) -> {
              Tensor grad = parameter.grad();
              assertFalse(grad == null || grad.abs().sum().item() == 0, name);
            });
    assertTrue(layer.toString().startsWith("MultiHeadAttention(6, heads=3)"), layer::toString);
  }

  @Test
  void badSettingsAreNamed() {
    MultiHeadAttention.Options three = new MultiHeadAttention.Options(3, false, 0);
    assertThrows(ArgumentException.class, () -> new MultiHeadAttention(6, 4));
    assertThrows(ArgumentException.class, () -> new MultiHeadAttention(8, 4, three));
    assertThrows(ArgumentException.class, () -> new MultiHeadAttention.Options(1, false, 2));
    assertThrows(
        ShapeException.class, () -> new MultiHeadAttention(6, 2).forward(Tensor.ones(2, 6)));
  }
}
