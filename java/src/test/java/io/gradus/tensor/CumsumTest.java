package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.gradus.core.DType;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Cumulative sums. */
class CumsumTest extends OpTestCase {
  private static Nd naive(int axis, Nd x) {
    int a = axis < 0 ? axis + x.rank() : axis;
    return Nd.generate(
        x.dims(),
        at -> {
          double sum = 0;
          for (long i = 0; i <= at[a]; i++) {
            long[] source = at.clone();
            source[a] = i;
            sum += x.at(source);
          }
          return sum;
        });
  }

  private static OpSpec spec(int axis) {
    return OpSpec.op("cumsum(int)")
        .variant(axis)
        .apply(in -> in[0].cumsum(axis))
        .gives(in -> naive(axis, in[0]))
        .terms(in -> in[0].dim(axis))
        .on(Operand.x(2, 3, 4))
        .on(Operand.x(1, 1))
        .on(Operand.x(5, 1))
        .on(Operand.x(1, 6))
        .on(Operand.x(0, 3))
        .on(Operand.x(3, 0))
        .on(Operand.x(1030, 3))
        .on(Operand.x(3, 1030))
        .on(Operand.x(2, 5, 300))
        .on(Operand.x(2, 33, 1, 2))
        .on(Operand.x(4, 5).transposed())
        .on(Operand.x(3, 4).sliced())
        .on(Operand.x(3, 4).expanded());
  }

  private static OpSpec integers(DType... dtypes) {
    return spec(-1).variant("integers").dtypes(dtypes).result(DType.INT64).notDifferentiable();
  }

  @Override
  protected List<OpSpec> specs() {
    return List.of(
        spec(-1).on(Operand.x(7)).on(Operand.x(2051)),
        spec(0).on(Operand.x(7)),
        spec(1).refuses(ShapeException.class, "[cumsum] axis 2", () -> Tensor.ones(3, 4).cumsum(2)),
        integers(DType.INT64, DType.INT32, DType.BOOL));
  }

  @Test
  void theGradientIsTheSumOfAllThatFollow() {
    Tensor x = Tensor.of(new double[] {1, 2, 3}).requiresGrad(true);
    Tensor gradient =
        Autograd.grad(x.cumsum(0).mul(Tensor.of(new double[] {1, 10, 100})).sum(), x)[0];
    assertArrayEquals(new double[] {111, 110, 100}, gradient.toDoubles());
  }

  @Test
  void sixteenBitSumsAreRoundedOnce() {
    Tensor x = Tensor.ones(1000).to(DType.BFLOAT16);
    // Sums of ones in bfloat16 alone would stop at 256.
    assertArrayEquals(
        new double[] {1000}, x.cumsum(0).slice(0, 999, 1000).to(DType.FLOAT64).toDoubles(), 4);
  }
}
