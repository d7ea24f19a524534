package io.gradus.tensor;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

/** Vectors for discrete symbols. */
class EmbeddingTest extends OpTestCase {
  private static Nd naive(Nd... in) {
    long[] shape = in[1].dims();
    long[] dims = Arrays.copyOf(shape, shape.length + 1);
    dims[shape.length] = in[0].dim(1);
    return Nd.generate(
        dims,
        at -> {
          long row = (long) in[1].at(Arrays.copyOf(at, shape.length));
          return in[0].at(row, at[shape.length]);
        });
  }

  private static OpSpec onTables(OpSpec spec) {
    return spec.gives(EmbeddingTest::naive)
        // The gradient of a row sums over the indices that name it.
        .terms(in -> (double) in[1].data().length / in[0].dim(0))
        .on(Operand.x(5, 3), Operand.index(5, 4))
        .on(Operand.x(5, 3), Operand.index(5))
        .on(Operand.x(5, 3), Operand.index(5, 0))
        .on(Operand.x(5, 3), Operand.index(5, 2, 3))
        .on(Operand.x(1, 1), Operand.index(1, 1))
        .on(Operand.x(4, 2), Operand.index(4, 2, 0, 3))
        .on(Operand.x(300, 20), Operand.index(300, 40, 30))
        .on(Operand.x(2, 130), Operand.index(2, 600))
        .on(Operand.x(7, 1), Operand.index(7, 4, 2, 2))
        .on(Operand.x(4, 0), Operand.index(4, 3))
        .on(Operand.x(5, 3).transposed(), Operand.index(5, 4, 2).transposed())
        .on(Operand.x(5, 3).sliced(), Operand.index(5, 4).sliced())
        .on(Operand.x(5, 3), Operand.index(5, 4).typed(DType.INT32));
  }

  /** A padding row that no index names: gradients are those of the plain lookup. */
  private static OpSpec padded() {
    return onTables(
        OpSpec.op("Embedding.embedding(Tensor,Tensor,long)")
            .apply(
                in -> {
                  long rows = in[0].size(0);
                  Tensor padding = Tensor.full(in[0].device(), in[0].dtype(), in[0].shape(), 9);
                  return Embedding.embedding(Tensor.concat(0, in[0], padding), in[1], rows);
                }));
  }

  @Override
  protected List<OpSpec> specs() {
    Tensor table = Tensor.ones(5, 3);
    return List.of(
        padded(),
        onTables(
                OpSpec.op("Embedding.embedding(Tensor,Tensor)")
                    .apply(in -> Embedding.embedding(in[0], in[1])))
            .refuses(
                ArgumentException.class,
                "[embedding] index 5 is out of range",
                () -> Embedding.embedding(table, Tensor.of(new long[] {0, 5})))
            .refuses(
                ArgumentException.class,
                "[embedding] index -1 is out of range",
                () -> Embedding.embedding(table, Tensor.of(new long[] {0, -1})))
            .refuses(
                ArgumentException.class,
                "[embedding] padding index 5",
                () -> Embedding.embedding(table, Tensor.of(new long[] {0}), 5))
            .refuses(
                ShapeException.class,
                "[embedding] weight [5] must be",
                () -> Embedding.embedding(Tensor.ones(5), Tensor.of(new long[] {0})))
            .refuses(
                DTypeException.class,
                "[embedding] indices must be integers",
                () -> Embedding.embedding(table, Tensor.ones(2)))
            .refuses(
                DTypeException.class,
                "[embedding] weight is INT64",
                () -> Embedding.embedding(table.to(DType.INT64), Tensor.of(new long[] {0}))));
  }

  @Test
  void paddingRowGetsNoGradient() {
    Tensor index = Tensor.of(new long[] {1, 2, 1, 0, 1}, 5);
    for (DType dtype : List.of(DType.FLOAT32, DType.FLOAT64, DType.FLOAT16)) {
      Tensor table = Tensor.ones(3, 2).to(dtype).requiresGrad(true);
      for (long padding : new long[] {1, -2}) {
        Tensor y = Embedding.embedding(table, index, padding);
        Tensor gradient = Autograd.grad(y.sum(), table)[0];
        Assertions.assertArrayEquals(new double[] {1, 1, 0, 0, 1, 1}, gradient.toDoubles());
      }
    }
  }

  @Test
  void paddingRowTakesNoPartInSecondDerivatives() {
    Tensor index = Tensor.of(new long[] {1, 2, 1}, 3);
    Tensor table = Tensor.ones(3, 2).requiresGrad(true);
    Tensor weight = Tensor.ones(3, 2).requiresGrad(true);
    Tensor y = Embedding.embedding(table, index, 1).mul(weight).sum();
    Tensor gradient = Autograd.grad(y, new Tensor[] {table}, true, true)[0];
    Tensor second = Autograd.grad(gradient.square().sum(), weight)[0];
    Assertions.assertArrayEquals(new double[] {0, 0, 2, 2, 0, 0}, second.toDoubles());
  }
}
