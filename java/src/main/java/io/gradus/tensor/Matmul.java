package io.gradus.tensor;

import io.gradus.backend.Buffer;
import io.gradus.backend.MatmulShape;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Matrix products of any rank, brought to a batch of dense products. */
final class Matmul {
  private Matmul() {}

  static Tensor matmul(Tensor a, Tensor b) {
    a.sameDevice("matmul", b);
    Checks.shape(
        a.rank() > 0 && b.rank() > 0,
        "[matmul] a scalar is no matrix: %s and %s; use mul",
        a.shape(),
        b.shape());
    DType dtype = Precision.product(DType.promote(a.dtype(), b.dtype()));
    try (Scope s = Scope.open()) {
      Tensor left = (a.rank() == 1 ? a.unsqueeze(0) : a).to(dtype);
      Tensor right = (b.rank() == 1 ? b.unsqueeze(1) : b).to(dtype);
      Checks.shape(
          left.size(-1) == right.size(-2),
          "[matmul] inner extents differ: %s and %s (%d and %d)",
          a.shape(),
          b.shape(),
          left.size(-1),
          right.size(-2));
      Tensor out;
      if (right.rank() == 2 && left.rank() > 2) {
        // One tall product instead of a batch: the right side is shared.
        long rows = left.shape().product(0, left.rank() - 1);
        out =
            new Product()
                .apply(left.reshape(rows, left.size(-1)), right)
                .reshape(left.shape().with(-1, right.size(1)).dims());
      } else {
        out = new Product().apply(left, right);
      }
      if (b.rank() == 1) {
        out = out.squeeze(-1);
      }
      if (a.rank() == 1) {
        out = out.squeeze(b.rank() == 1 ? -1 : -2);
      }
      return s.keep(out);
    }
  }

  private static Shape batch(Shape shape) {
    if (shape.rank() == 2) {
      return Shape.SCALAR;
    }
    long[] dims = shape.dims();
    return Shape.of(Arrays.copyOf(dims, dims.length - 2));
  }

  /** A dense operand, possibly stored transposed. */
  private record Operand(Buffer elements, boolean transposed, long stride) {
    /** Avoids copying a transposed matrix: the primitive reads it as it lies. */
    static Operand of(Tensor x, Shape batch) {
      if (x.rank() == 2) {
        return of(x, 0);
      }
      Shape target = batch.insert(batch.rank(), x.size(-2)).insert(batch.rank() + 1, x.size(-1));
      if (batch(x.shape()).numel() == 1) {
        return of(x.reshape(x.size(-2), x.size(-1)), 0);
      }
      return of(x.shape().equals(target) ? x : x.expand(target.dims()), x.size(-2) * x.size(-1));
    }

    private static Operand of(Tensor matrices, long stride) {
      Buffer stored = matrices.isContiguous() ? null : matrices.bufferOfTransposed();
      return stored != null
          ? new Operand(stored, true, stride)
          : new Operand(matrices.contiguous().buffer(), false, stride);
    }
  }

  /** C = A B, batched. */
  private static final class Product extends Function {
    Product() {
      super("matmul");
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor a = in[0];
      Tensor b = in[1];
      Shape batch = Shape.broadcast(batch(a.shape()), batch(b.shape()), "matmul");
      Operand left = Operand.of(a, batch);
      Operand right = Operand.of(b, batch);
      long m = a.size(-2);
      long n = b.size(-1);
      Shape shape =
          batch.rank() == 0
              ? Shape.of(m, n)
              : batch.insert(batch.rank(), m).insert(batch.rank() + 1, n);
      Tensor out = Tensor.empty(a.backend(), a.dtype(), shape);
      a.backend()
          .matmul(
              new MatmulShape(
                  batch.numel(),
                  m,
                  n,
                  a.size(-1),
                  left.transposed(),
                  right.transposed(),
                  left.stride(),
                  right.stride(),
                  false),
              left.elements(),
              right.elements(),
              out.buffer());
      save(a, b);
      return new Tensor[] {out};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[2];
      }
      Tensor a = saved(0);
      Tensor b = saved(1);
      @Nullable Tensor gradA = needsGrad(0) ? Reductions.sumTo(g.matmul(b.t()), a.shape()) : null;
      @Nullable Tensor gradB = needsGrad(1) ? Reductions.sumTo(a.t().matmul(g), b.shape()) : null;
      return new @Nullable Tensor[] {gradA, gradB};
    }
  }
}
