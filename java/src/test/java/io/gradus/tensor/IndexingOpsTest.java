package io.gradus.tensor;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.Arrays;
import java.util.List;

/** Reading and adding at indices, and the matrix product. */
class IndexingOpsTest extends OpTestCase {
  @Override
  protected List<OpSpec> specs() {
    return List.of(gather(), indexSelect(), scatterAdd(), oneHot(), matmul());
  }

  private static long[] at(long[] index, int axis, double value) {
    long[] out = index.clone();
    out[axis] = (long) value;
    return out;
  }

  private static OpSpec gather() {
    return OpSpec.op("gather(int,Tensor)")
        .apply(in -> in[0].gather(-1, in[1]))
        .gives(in -> Nd.generate(in[1].dims(), i -> in[0].at(at(i, in[0].rank() - 1, in[1].at(i)))))
        .on(Operand.x(4), Operand.index(4, 6))
        .on(Operand.x(1), Operand.index(1, 1))
        .on(Operand.x(2, 3), Operand.index(3, 2, 2))
        .on(Operand.x(3, 1), Operand.index(1, 3, 5))
        .on(Operand.x(2, 3, 4), Operand.index(4, 2, 3, 2))
        .on(Operand.x(0, 3), Operand.index(3, 0, 2))
        .on(Operand.x(3, 4), Operand.index(4, 3, 0))
        .on(Operand.x(65, 40), Operand.index(40, 65, 20))
        .on(Operand.x(3, 4).transposed(), Operand.index(4, 3, 5).transposed())
        .on(Operand.x(3, 4).sliced(), Operand.index(4, 3, 2).sliced())
        .on(Operand.x(3, 4).expanded(), Operand.index(4, 3, 2).typed(DType.INT32))
        .on(Operand.x(2, 300), Operand.index(256, 2, 3).typed(DType.UINT8))
        .refuses(
            ArgumentException.class,
            "[gather] index 3 is out of range: the axis has 3 elements",
            () -> Tensor.ones(3).gather(0, Tensor.of(new long[] {0, 3})))
        .refuses(
            ArgumentException.class,
            "[gather] index -1",
            () -> Tensor.ones(3).gather(0, Tensor.of(new long[] {-1})))
        .refuses(
            DTypeException.class,
            "[gather] indices must be integers",
            () -> Tensor.ones(3).gather(0, Tensor.ones(2)))
        .refuses(
            ShapeException.class,
            "[gather] the index [2]",
            () -> Tensor.ones(3, 3).gather(0, Tensor.of(new long[] {0, 1})));
  }

  private static OpSpec indexSelect() {
    return OpSpec.op("indexSelect(int,Tensor)")
        .apply(in -> in[0].indexSelect(0, in[1]))
        .gives(
            in -> {
              long[] dims = in[0].dims();
              dims[0] = in[1].dim(0);
              return Nd.generate(dims, i -> in[0].at(at(i, 0, in[1].at(i[0]))));
            })
        .on(Operand.x(4), Operand.index(4, 6))
        .on(Operand.x(1), Operand.index(1, 1))
        .on(Operand.x(3, 2), Operand.index(3, 5))
        .on(Operand.x(3, 1), Operand.index(3, 1))
        .on(Operand.x(2, 3, 4), Operand.index(2, 3))
        .on(Operand.x(3, 0), Operand.index(3, 2))
        .on(Operand.x(3, 4), Operand.index(3, 0))
        .on(Operand.x(40, 65), Operand.index(40, 60))
        .on(Operand.x(3, 4).transposed(), Operand.index(3, 5))
        .on(Operand.x(3, 4).sliced(), Operand.index(3, 2).sliced())
        .on(Operand.x(3, 4).expanded(), Operand.index(3, 4).typed(DType.INT32))
        .refuses(
            ArgumentException.class,
            "[indexSelect] index 3",
            () -> Tensor.ones(3).indexSelect(0, Tensor.of(new long[] {3})))
        .refuses(
            ShapeException.class,
            "must be a vector",
            () -> Tensor.ones(3).indexSelect(0, Tensor.of(new long[] {1}, 1, 1)));
  }

  private static Nd scatterAdd(Nd... in) {
    Nd out = Nd.of(in[0].dims(), in[0].data().clone());
    int last = out.rank() - 1;
    Nd.generate(
        in[1].dims(),
        i -> {
          long[] to = at(i, last, in[1].at(i));
          long flat = 0;
          for (int k = 0; k <= last; k++) {
            flat = flat * out.dim(k) + to[k];
          }
          out.data()[(int) flat] += in[2].at(i);
          return 0;
        });
    return out;
  }

  private static OpSpec scatterAdd() {
    return OpSpec.op("scatterAdd(int,Tensor,Tensor)")
        .apply(in -> in[0].scatterAdd(-1, in[1], in[2]))
        .gives(IndexingOpsTest::scatterAdd)
        .terms(in -> 1 + in[1].dim(-1))
        // Every addition rounds to the type.
        .halfSteps(4)
        .on(Operand.x(4), Operand.index(4, 6), Operand.x(6))
        .on(Operand.x(1), Operand.index(1, 3), Operand.x(3))
        .on(Operand.x(2, 3), Operand.index(3, 2, 2), Operand.x(2, 2))
        .on(Operand.x(3, 1), Operand.index(1, 3, 5), Operand.x(3, 5))
        .on(Operand.x(2, 3, 4), Operand.index(4, 2, 3, 2), Operand.x(2, 3, 2))
        .on(Operand.x(0, 3), Operand.index(3, 0, 2), Operand.x(0, 2))
        .on(Operand.x(3, 4), Operand.index(4, 3, 0), Operand.x(3, 0))
        .on(Operand.x(65, 40), Operand.index(40, 65, 20), Operand.x(65, 20))
        .on(
            Operand.x(3, 4).transposed(),
            Operand.index(4, 3, 5).transposed(),
            Operand.x(3, 5).transposed())
        .on(Operand.x(3, 4).sliced(), Operand.index(4, 3, 2).sliced(), Operand.x(3, 2).sliced())
        .on(Operand.x(3, 4).expanded(), Operand.index(4, 3, 2), Operand.x(3, 2).expanded())
        .refuses(
            ArgumentException.class,
            "[scatterAdd] index 3",
            () -> Tensor.ones(3).scatterAdd(0, Tensor.of(new long[] {3}), Tensor.ones(1)))
        .refuses(
            DTypeException.class,
            "[scatterAdd] source is FLOAT64 but this tensor is FLOAT32",
            () ->
                Tensor.ones(3)
                    .scatterAdd(0, Tensor.of(new long[] {0}), Tensor.of(new double[] {1})))
        .refuses(
            ShapeException.class,
            "[scatterAdd] index [1] and source [2]",
            () -> Tensor.ones(3).scatterAdd(0, Tensor.of(new long[] {0}), Tensor.ones(2)));
  }

  private static OpSpec oneHot() {
    OpSpec spec =
        OpSpec.op("oneHot(long)")
            .apply(in -> in[0].oneHot(5))
            .gives(
                in -> {
                  long[] dims = Arrays.copyOf(in[0].dims(), in[0].rank() + 1);
                  dims[in[0].rank()] = 5;
                  return Nd.generate(dims, i -> in[0].broadcastAt(prefix(i)) == last(i) ? 1 : 0);
                })
            .dtypes(DType.INT64, DType.INT32, DType.UINT8)
            .result(DType.FLOAT32)
            .notDifferentiable()
            .refuses(
                ArgumentException.class,
                "[oneHot] index 5",
                () -> Tensor.of(new long[] {5}).oneHot(5))
            .refuses(
                DTypeException.class,
                "[oneHot] indices must be integers",
                () -> Tensor.ones(2).oneHot(3));
    for (long[] dims : new long[][] {{}, {1}, {6}, {2, 3}, {1, 1}, {0}, {2, 0}, {2, 3, 2}, {700}}) {
      spec.on(Operand.x(dims).range(0, 4).grid(1));
    }
    return spec.on(Operand.x(3, 4).range(0, 4).grid(1).transposed())
        .on(Operand.x(3, 4).range(0, 4).grid(1).sliced());
  }

  private static long[] prefix(long[] index) {
    return Arrays.copyOf(index, index.length - 1);
  }

  private static long last(long[] index) {
    return index[index.length - 1];
  }

  private static Nd matmul(Nd a, Nd b) {
    Nd x = a.rank() == 1 ? a.reshape(1, a.dim(0)) : a;
    Nd y = b.rank() == 1 ? b.reshape(b.dim(0), 1) : b;
    long[] batch = Nd.broadcast(leading(x.dims()), leading(y.dims()));
    long[] dims = Arrays.copyOf(batch, batch.length + 2);
    dims[batch.length] = x.dim(-2);
    dims[batch.length + 1] = y.dim(-1);
    long k = x.dim(-1);
    Nd out =
        Nd.generate(
            dims,
            i -> {
              double sum = 0;
              for (long j = 0; j < k; j++) {
                long[] left = i.clone();
                left[i.length - 1] = j;
                long[] right = i.clone();
                right[i.length - 2] = j;
                sum += batched(x, left) * batched(y, right);
              }
              return sum;
            });
    if (b.rank() == 1) {
      out = out.reshape(Arrays.copyOf(out.dims(), out.rank() - 1));
    }
    if (a.rank() == 1) {
      long[] left = new long[out.rank() - 1];
      int n = 0;
      int drop = b.rank() == 1 ? out.rank() - 1 : out.rank() - 2;
      for (int i = 0; i < out.rank(); i++) {
        if (i != drop) {
          left[n++] = out.dim(i);
        }
      }
      out = out.reshape(left);
    }
    return out;
  }

  private static long[] leading(long[] dims) {
    return Arrays.copyOf(dims, dims.length - 2);
  }

  /** The element of a batch of matrices, batch axes broadcast, matrix axes not. */
  private static double batched(Nd x, long[] index) {
    long[] own = new long[x.rank()];
    for (int i = 0; i < own.length; i++) {
      long at = index[index.length - own.length + i];
      own[i] = x.dim(i) == 1 ? 0 : at;
    }
    return x.at(own);
  }

  private static OpSpec matmul() {
    OpSpec spec =
        OpSpec.op("matmul(Tensor)")
            .apply(in -> in[0].matmul(in[1]))
            .gives(in -> matmul(in[0], in[1]))
            .terms(in -> in[0].dim(-1))
            .refuses(
                ShapeException.class,
                "[matmul] inner extents differ: [2, 3] and [4, 2] (3 and 4)",
                () -> Tensor.ones(2, 3).matmul(Tensor.ones(4, 2)))
            .refuses(
                ShapeException.class,
                "[matmul] a scalar is no matrix",
                () -> Tensor.ones().matmul(Tensor.ones(2)))
            .refuses(
                ShapeException.class,
                "[matmul]",
                () -> Tensor.ones(2, 2, 3).matmul(Tensor.ones(3, 3, 2)));
    long[][][] pairs = {
      {{2, 3}, {3, 4}},
      {{1, 1}, {1, 1}},
      {{5}, {5}},
      {{5}, {5, 2}},
      {{3, 5}, {5}},
      {{2, 3, 5}, {5}},
      {{5}, {2, 5, 3}},
      {{2, 3, 4}, {2, 4, 2}},
      {{2, 3, 4}, {4, 2}},
      {{3, 4}, {2, 4, 2}},
      {{2, 1, 2, 3}, {3, 3, 2}},
      {{1, 2, 3}, {4, 3, 2}},
      {{0, 3}, {3, 2}},
      {{2, 0}, {0, 3}},
      {{2, 3}, {3, 0}},
      {{0, 2, 3}, {3, 2}},
      {{0, 2, 3}, {0, 3, 2}},
      {{17, 33}, {33, 19}},
      {{65, 70}, {70, 130}},
      {{1, 300}, {300, 7}},
      {{2, 9, 65}, {2, 65, 9}},
    };
    for (long[][] pair : pairs) {
      spec.on(Operand.x(pair[0]), Operand.x(pair[1]));
    }
    Operand a = Operand.x(4, 3);
    Operand b = Operand.x(3, 5);
    return spec.on(a.transposed(), b)
        .on(a, b.transposed())
        .on(a.transposed(), b.transposed())
        .on(a.sliced(), b.sliced())
        .on(a.expanded(), b.expanded())
        .on(Operand.x(2, 4, 3).transposed(), Operand.x(2, 3, 5).transposed())
        .on(Operand.x(2, 4, 3).expanded(), b.transposed())
        .on(Operand.x(70, 40).transposed(), Operand.x(40, 66).transposed());
  }
}
