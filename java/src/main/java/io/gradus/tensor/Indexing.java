package io.gradus.tensor;

import io.gradus.backend.IndexShape;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/** Reading and adding at indices along an axis. Each is the other's gradient. */
final class Indexing {
  private Indexing() {}

  /** INT64, dense, with every index in [0, size). */
  static Tensor checked(String op, Tensor index, long size) {
    Checks.dtype(
        !index.dtype().isFloating() && index.dtype() != DType.BOOL,
        "[%s] indices must be integers, not %s",
        op,
        index.dtype());
    Tensor dense = index.detach().to(DType.INT64).contiguous();
    Capture capture = Capture.of(dense.backend());
    if (capture != null) {
      return capture.inRange(op, dense, size, null);
    }
    if (dense.numel() > 0) {
      try (Scope s = Scope.open()) {
        long low = dense.min().toLongs()[0];
        long high = dense.max().toLongs()[0];
        if (low < 0 || high >= size) {
          throw new ArgumentException(
              "["
                  + op
                  + "] index "
                  + (low < 0 ? low : high)
                  + " is out of range: the axis has "
                  + size
                  + " elements (0 to "
                  + (size - 1)
                  + ")");
        }
      }
    }
    return dense;
  }

  static IndexShape rows(Shape x, int axis, long count) {
    return IndexShape.rows(x.product(0, axis), x.dim(axis), count, x.product(axis + 1, x.rank()));
  }

  static IndexShape elements(Shape x, int axis, long count) {
    return IndexShape.elements(
        x.product(0, axis), x.dim(axis), count, x.product(axis + 1, x.rank()));
  }

  /** Reads x at indices. */
  static final class Gather extends Function {
    private final Tensor index;
    private final IndexShape plan;
    private final Shape result;
    private Shape shape = Shape.SCALAR;

    Gather(Tensor index, IndexShape plan, Shape result) {
      super("gather");
      this.index = index;
      this.plan = plan;
      this.result = result;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      shape = x.shape();
      Tensor out = Tensor.empty(x.backend(), x.dtype(), result);
      x.backend().gather(plan, x.buffer(), index.buffer(), out.buffer());
      save(index);
      return new Tensor[] {out};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[1];
      }
      Tensor zeros = Tensor.full(g.backend(), g.dtype(), shape, 0);
      return new Tensor[] {new ScatterAdd(saved(0), plan).apply(zeros, g)};
    }
  }

  /** x with src added at indices. */
  static final class ScatterAdd extends Function {
    private final Tensor index;
    private final IndexShape plan;
    private Shape sourceShape = Shape.SCALAR;

    ScatterAdd(Tensor index, IndexShape plan) {
      super("scatterAdd");
      this.index = index;
      this.plan = plan;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor out = in[0].copy();
      Tensor source = in[1].contiguous();
      sourceShape = source.shape();
      out.backend().scatterAdd(plan, source.buffer(), index.buffer(), out.buffer());
      save(index);
      return new Tensor[] {out};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[2];
      }
      @Nullable Tensor source =
          needsGrad(1) ? new Gather(saved(0), plan, sourceShape).apply(g) : null;
      return new @Nullable Tensor[] {g, source};
    }
  }
}
