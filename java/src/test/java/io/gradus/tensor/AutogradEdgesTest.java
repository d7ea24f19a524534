package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.DType;
import io.gradus.core.GradusException;
import io.gradus.testing.TestDevices;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** Gradients at kinks, at the ends of a type's range, of empty tensors, and of the wrong kind. */
class AutogradEdgesTest {
  private static double slope(UnaryOperator<Tensor> op, DType dtype, double at) {
    Tensor x = Tensor.of(new double[] {at}).to(dtype).detach().requiresGrad(true);
    op.apply(x).sum().backward();
    // Adding 0 makes a negative zero positive.
    return Objects.requireNonNull(x.grad()).item() + 0.0;
  }

  private static double slope(UnaryOperator<Tensor> op, double at) {
    return slope(op, DType.FLOAT32, at);
  }

  @Test
  void kinksHavePyTorchsSubgradients() {
    assertEquals(0, slope(Tensor::relu, 0));
    assertEquals(0, slope(Tensor::abs, 0));
    assertEquals(0.25, slope(x -> x.leakyRelu(0.25), 0));
    assertEquals(2, slope(x -> x.elu(2), 0));
    assertEquals(1, slope(x -> x.clamp(-1, 1), 1));
    assertEquals(1, slope(x -> x.clamp(-1, 1), -1));
    assertEquals(0, slope(x -> x.clamp(-1, 1), 1.5));
    assertEquals(0, slope(x -> x.pow(0), 0));
    assertEquals(0, slope(x -> x.pow(3), 0));
    assertEquals(0.5, slope(x -> x.maximum(Tensor.ones(1)), 1));
    assertEquals(0.5, slope(x -> Tensor.concat(0, x, Tensor.ones(1)).max(), 1));
  }

  @Test
  void largeHalfPrecisionValuesKeepTheirGradients() {
    DType half = DType.FLOAT16;
    for (double at : new double[] {300, -300}) {
      double flat = at > 0 ? 1 : 0;
      assertEquals(flat, slope(Tensor::geluTanh, half, at), "geluTanh at " + at);
      assertEquals(flat, slope(Tensor::gelu, half, at), "gelu at " + at);
      assertEquals(flat, slope(Tensor::silu, half, at), "silu at " + at);
      assertEquals(flat, slope(Tensor::softplus, half, at), "softplus at " + at);
      assertEquals(0, slope(Tensor::erf, half, at), "erf at " + at);
      assertEquals(0, slope(Tensor::tanh, half, at), "tanh at " + at);
      assertEquals(0, slope(Tensor::sigmoid, half, at), "sigmoid at " + at);
    }
    // 300^2 and 0.0001^2 are outside the range of float16, the quotients are not.
    Tensor numerator = Tensor.of(new double[] {300}).to(half);
    assertEquals(-1 / 300.0, slope(b -> numerator.div(b), half, 300), 1e-5);
    Tensor small = Tensor.of(new double[] {1e-4}).to(half);
    assertEquals(-1e4, slope(b -> small.div(b), half, 1e-4), 100);
  }

  @Test
  void emptyTensorsHaveEmptyGradients() {
    Tensor x = Tensor.zeros(0, 3).requiresGrad(true);
    Tensor w = Tensor.ones(3, 2).requiresGrad(true);
    x.matmul(w).tanh().sum().backward();
    assertEquals(x.shape(), Objects.requireNonNull(x.grad()).shape());
    assertArrayEquals(new double[6], Objects.requireNonNull(w.grad()).toDoubles());
  }

  @Test
  void theGradientPassedInMustFit() {
    Tensor x = Tensor.of(new float[] {1, 2}).requiresGrad(true);
    Tensor y = x.mul(2);
    assertThrows(
        GradusException.class, () -> y.backward(Tensor.of(new double[] {1, 1})), "other type");
    assertThrows(
        GradusException.class,
        () -> y.backward(Tensor.ones(2).to(TestDevices.threads(1))),
        "other device");
    assertThrows(GradusException.class, () -> x.setGrad(Tensor.of(new double[] {1, 1})), "setGrad");
  }

  @Test
  void aHookCannotChangeTheShape() {
    Tensor x = Tensor.of(new float[] {1, 2}).requiresGrad(true);
    x.registerHook(Tensor::sum);
    Tensor loss = x.mul(2).sum();
    assertThrows(GradusException.class, loss::backward);
  }

  /** Forgets that its second input was broadcast. */
  private static final class Careless extends Function {
    Careless() {
      super("careless");
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      return new Tensor[] {in[0].add(in[1])};
    }

    @Override
    protected Tensor[] backward(Tensor... g) {
      return new Tensor[] {g[0], g[0]};
    }
  }

  @Test
  void aFunctionWithAGradientOfTheWrongShapeIsNamed() {
    Tensor a = Tensor.ones(2, 3).requiresGrad(true);
    Tensor b = Tensor.ones(3).requiresGrad(true);
    Tensor y = new Careless().apply(a, b).sum();
    GradusException e = assertThrows(GradusException.class, y::backward);
    assertTrue(e.getMessage().startsWith("[careless]"), e.getMessage());
  }

  @Test
  void splittingNothingGivesOneEmptyPart() {
    Tensor[] parts = Tensor.zeros(0, 2).split(3, 0);
    assertEquals(1, parts.length);
    assertEquals(0, parts[0].numel());
  }

  @Test
  void aLogSumExpOfNothingHasNoNaNGradient() {
    Tensor x =
        Tensor.of(new double[] {Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY, 1, 2}, 2, 2)
            .requiresGrad(true);
    Tensor y = x.logSumExp(1);
    assertEquals(Double.NEGATIVE_INFINITY, y.toDoubles()[0]);
    y.slice(0, 1, 2).sum().backward();
    double[] g = Objects.requireNonNull(x.grad()).toDoubles();
    assertEquals(1, g[2] + g[3], 1e-12);
  }
}
