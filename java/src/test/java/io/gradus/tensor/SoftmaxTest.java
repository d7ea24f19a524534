package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Softmax and its logarithm. */
class SoftmaxTest extends OpTestCase {
  private static Nd naive(Nd x, int axis, boolean log) {
    Nd max = x.reduce(true, v -> Arrays.stream(v).max().orElse(0), axis);
    Nd shifted = Nd.zip(x, max, (a, b) -> a - b);
    Nd sum = shifted.reduce(true, v -> Arrays.stream(v).map(Math::exp).sum(), axis);
    return Nd.zip(shifted, sum, (a, b) -> log ? a - Math.log(b) : Math.exp(a) / b);
  }

  private static OpSpec spec(int axis, boolean log) {
    String name = log ? "logSoftmax" : "softmax";
    OpSpec spec =
        OpSpec.op("Softmax." + name + "(Tensor,int)")
            .variant(axis)
            .apply(in -> apply(in[0], axis, log))
            .gives(in -> naive(in[0], axis, log))
            .terms(in -> in[0].dim(axis))
            .refuses(
                ShapeException.class,
                "[" + name + "] axis 2 is out of range",
                () -> apply(Tensor.ones(2, 3), 2, log))
            .refuses(
                ShapeException.class,
                "[" + name + "] axis -3 is out of range",
                () -> apply(Tensor.ones(2, 3), -3, log))
            .refuses(
                DTypeException.class,
                "[" + name + "] needs a floating type",
                () -> apply(Tensor.arange(3), 0, log));
    for (long[] shape :
        new long[][] {
          {7},
          {1},
          {1040},
          {2, 3},
          {1, 1},
          {4, 1},
          {1, 4},
          {3, 4, 2},
          {130, 7},
          {7, 130},
          {2, 0},
          {0, 2},
          {2, 3, 2, 2}
        }) {
      if (axis < shape.length) {
        spec.on(Operand.x(shape).range(-6, 6));
      }
    }
    double[] far = new double[11];
    Arrays.setAll(far, i -> (i % 3 - 1) * 1000 + i);
    return spec.on(Operand.x(4, 5).transposed())
        .on(Operand.x(3, 4).sliced())
        .on(Operand.x(2, 3).expanded())
        .on(Operand.x(1, 11).values(far))
        .on(Operand.x(2, 2).values(1e4, -1e4, 3e4, 3e4).constant());
  }

  private static Tensor apply(Tensor x, int axis, boolean log) {
    return log ? Softmax.logSoftmax(x, axis) : Softmax.softmax(x, axis);
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    for (int axis : new int[] {-1, 0, 1}) {
      specs.add(spec(axis, false));
      specs.add(spec(axis, true));
    }
    return specs;
  }

  @Test
  void aLineOfMinusInfinityHasProbabilityZero() {
    float low = Float.NEGATIVE_INFINITY;
    for (int axis = 0; axis < 2; axis++) {
      Tensor x = Tensor.of(new float[] {low, low, low, low}, 2, 2);
      assertArrayEquals(new float[4], Softmax.softmax(x, axis).toFloats());
      assertArrayEquals(new float[] {low, low, low, low}, Softmax.logSoftmax(x, axis).toFloats());
    }
    Tensor x = Tensor.of(new float[] {low, 0, low, 0}, 2, 2);
    assertArrayEquals(new float[] {0, 1, 0, 1}, Softmax.softmax(x, 1).toFloats());
    Tensor nan = Tensor.of(new float[] {Float.NaN, 0}, 1, 2);
    assertArrayEquals(new float[] {Float.NaN, Float.NaN}, Softmax.softmax(nan, 1).toFloats());
  }
}
