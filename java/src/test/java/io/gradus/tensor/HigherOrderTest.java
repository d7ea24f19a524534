package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Objects;
import org.junit.jupiter.api.Test;

/** Gradients of gradients. */
class HigherOrderTest {
  private static Tensor leaf(double... values) {
    return Tensor.of(values).requiresGrad(true);
  }

  private static Tensor derivative(Tensor y, Tensor x) {
    return Autograd.grad(y.sum(), new Tensor[] {x}, true, true)[0];
  }

  @Test
  void derivativesOfACube() {
    Tensor x = leaf(2, -3);
    Tensor y = x.mul(x).mul(x);
    Tensor first = derivative(y, x);
    assertArrayEquals(new double[] {12, 27}, first.toDoubles());
    Tensor second = derivative(first, x);
    assertArrayEquals(new double[] {12, -18}, second.toDoubles());
    Tensor third = derivative(second, x);
    assertArrayEquals(new double[] {6, 6}, third.toDoubles());
  }

  @Test
  void everyDerivativeOfTheExponentialIsItself() {
    Tensor x = leaf(0.5);
    Tensor y = x.exp();
    for (int order = 0; order < 5; order++) {
      y = derivative(y, x);
      assertEquals(Math.exp(0.5), y.item(), 1e-12);
    }
  }

  @Test
  void withoutCreateGraphTheGradientIsAConstant() {
    Tensor x = leaf(2);
    Tensor g = Autograd.grad(x.square().sum(), x)[0];
    assertEquals(false, g.requiresGrad());
  }

  @Test
  void hessianTimesVector() {
    // f = x0^2 x1 + x1^3; H = [[2 x1, 2 x0], [2 x0, 6 x1]]
    Tensor x = leaf(3, 5);
    Tensor x0 = x.select(0, 0);
    Tensor x1 = x.select(0, 1);
    Tensor f = x0.square().mul(x1).add(x1.pow(3));
    Tensor gradient = derivative(f, x);
    assertArrayEquals(new double[] {30, 9 + 75}, gradient.toDoubles(), 1e-12);
    Tensor v = Tensor.of(new double[] {1, -2});
    Tensor product = Autograd.grad(gradient.mul(v).sum(), x)[0];
    assertArrayEquals(new double[] {10 - 12, 6 - 60}, product.toDoubles(), 1e-12);
  }

  @Test
  void gradientPenaltyReachesTheWeights() {
    // penalty = (w^2 cos^2(w x)), the squared slope of sin(w x)
    double w0 = 0.7;
    double x0 = 1.3;
    Tensor w = leaf(w0);
    Tensor x = leaf(x0);
    Tensor slope = derivative(w.mul(x).sin(), x);
    slope.square().sum().backward();
    double c = Math.cos(w0 * x0);
    double s = Math.sin(w0 * x0);
    double expected = 2 * w0 * c * c - 2 * w0 * w0 * x0 * c * s;
    assertEquals(expected, Objects.requireNonNull(w.grad()).item(), 1e-12);
  }

  @Test
  void createGraphInBackwardMakesDifferentiableGrads() {
    Tensor x = leaf(2);
    x.mul(x).mul(x).sum().backward(true, true);
    Tensor g = Objects.requireNonNull(x.grad());
    assertTrue(g.requiresGrad());
    assertEquals(12, g.item());
    assertEquals(12, Autograd.grad(g.sum(), x)[0].item());
  }

  @Test
  void retainedIntermediatesStayUsable() {
    Tensor x = leaf(1, 2, 3, 4);
    Tensor m = x.reshape(2, 2);
    Tensor y = m.matmul(m).tanh().sum();
    Tensor g = derivative(y, x);
    double[] numeric = new double[4];
    double[] at = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++) {
      double[] up = at.clone();
      double[] down = at.clone();
      up[i] += 1e-5;
      down[i] -= 1e-5;
      numeric[i] = (squaredSlope(up) - squaredSlope(down)) / 2e-5;
    }
    double[] analytic = Autograd.grad(g.square().sum(), x)[0].toDoubles();
    assertArrayEquals(numeric, analytic, 1e-6);
  }

  private static double squaredSlope(double... values) {
    Tensor x = leaf(values);
    Tensor m = x.reshape(2, 2);
    return Autograd.grad(m.matmul(m).tanh().sum(), x)[0].square().sum().item();
  }
}
