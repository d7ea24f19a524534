package io.gradus.tensor;

import io.gradus.backend.ReduceOp;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/** Reductions over any axes, brought to the primitive's form [outer, n, inner]. */
final class Reductions {
  private Reductions() {}

  static Tensor sum(Tensor x, boolean[] axes, boolean keepDim) {
    // Counting true values is what a sum of BOOL means; INT32 sums in INT64 as in PyTorch.
    Tensor wide = x.dtype().isFloating() ? Precision.wide(x) : x.to(DType.INT64);
    return new Sum(axes, keepDim).apply(wide);
  }

  static Tensor extreme(ReduceOp op, Tensor x, boolean[] axes, boolean keepDim) {
    Shape shape = x.shape();
    for (int i = 0; i < axes.length; i++) {
      Checks.shape(
          !axes[i] || shape.dim(i) > 0 || shape.reduce(axes, true).numel() == 0,
          "[%s] axis %d of %s is empty: there is no extreme of nothing",
          op == ReduceOp.MAX ? "max" : "min",
          i,
          shape);
    }
    return new Extreme(op, axes, keepDim).apply(x);
  }

  /** Sums a gradient of a broadcast result to the operand's shape. */
  static Tensor sumTo(Tensor gradient, Shape shape) {
    if (gradient.shape().equals(shape)) {
      return gradient;
    }
    boolean[] axes = new boolean[gradient.rank()];
    int shift = gradient.rank() - shape.rank();
    for (int i = 0; i < axes.length; i++) {
      axes[i] = i < shift || (shape.dim(i - shift) == 1 && gradient.size(i) != 1);
    }
    return sum(gradient, axes, true).reshape(shape.dims());
  }

  /** Reduces without recording; the result has the reduced axes dropped or kept as 1. */
  static Tensor reduce(ReduceOp op, Tensor x, boolean[] axes, boolean keepDim) {
    Shape result = x.shape().reduce(axes, keepDim);
    int first = axes.length;
    int last = -1;
    int count = 0;
    for (int i = 0; i < axes.length; i++) {
      if (axes[i]) {
        first = Math.min(first, i);
        last = i;
        count++;
      }
    }
    if (count == 0) {
      return x.copy();
    }
    Tensor source;
    long outer;
    long n;
    long inner;
    if (last - first + 1 == count) {
      source = x.contiguous();
      outer = x.shape().product(0, first);
      n = x.shape().product(first, last + 1);
      inner = x.shape().product(last + 1, axes.length);
    } else {
      int[] order = new int[axes.length];
      int at = 0;
      for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < axes.length; i++) {
          if (axes[i] == (pass == 1)) {
            order[at++] = i;
          }
        }
      }
      source = x.permute(order).contiguous();
      outer = result.numel();
      n = source.shape().product(axes.length - count, axes.length);
      inner = 1;
    }
    Tensor out = Tensor.empty(x.backend(), x.dtype(), result);
    x.backend().reduce(op, source.buffer(), out.buffer(), outer, n, inner);
    return out;
  }

  static Tensor argExtreme(boolean max, Tensor x, int axis, boolean keepDim) {
    String name = max ? "argmax" : "argmin";
    int a = x.shape().axis(axis, name);
    Checks.shape(x.size(a) > 0, "[%s] axis %d of %s is empty", name, axis, x.shape());
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor dense = x.detach().contiguous();
      Shape shape = keepDim ? x.shape().with(a, 1) : x.shape().without(a);
      Tensor out = Tensor.empty(x.backend(), DType.INT64, shape);
      x.backend()
          .argReduce(
              max,
              dense.buffer(),
              out.buffer(),
              x.shape().product(0, a),
              x.size(a),
              x.shape().product(a + 1, x.rank()));
      return s.keep(out);
    }
  }

  private static final class Sum extends Function {
    private final boolean[] axes;
    private final boolean keepDim;
    private Shape shape = Shape.SCALAR;

    Sum(boolean[] axes, boolean keepDim) {
      super("sum");
      this.axes = axes;
      this.keepDim = keepDim;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      shape = in[0].shape();
      return new Tensor[] {reduce(ReduceOp.SUM, in[0], axes, keepDim)};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {
        g == null ? null : g.reshape(shape.reduce(axes, true).dims()).expand(shape.dims())
      };
    }
  }

  /** Maximum or minimum; the gradient is shared among equals. */
  private static final class Extreme extends Function {
    private final ReduceOp op;
    private final boolean[] axes;
    private final boolean keepDim;

    Extreme(ReduceOp op, boolean[] axes, boolean keepDim) {
      super(op == ReduceOp.MAX ? "max" : "min");
      this.op = op;
      this.axes = axes;
      this.keepDim = keepDim;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor y = reduce(op, in[0], axes, keepDim);
      save(in[0], y);
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[1];
      }
      Tensor x = saved(0);
      long[] kept = x.shape().reduce(axes, true).dims();
      Tensor winners = x.detach().eq(saved(1).detach().reshape(kept)).to(x.dtype());
      Tensor ties = sum(winners, axes, true);
      return new Tensor[] {winners.mul(g.reshape(kept).div(ties))};
    }
  }
}
