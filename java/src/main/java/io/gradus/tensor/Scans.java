package io.gradus.tensor;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Cumulative sums; the gradient of one is the other direction's. */
final class Scans {
  private Scans() {}

  static Tensor cumsum(Tensor x, int axis) {
    int a = x.shape().axis(axis, "cumsum");
    // As in sums, counting true values is what BOOL means, and integers do not overflow.
    Tensor wide = x.dtype().isFloating() ? Precision.wide(x) : x.to(DType.INT64);
    return new Cumsum(a, false).apply(wide);
  }

  private static final class Cumsum extends Function {
    private final int axis;
    private final boolean reverse;

    Cumsum(int axis, boolean reverse) {
      super("cumsum");
      this.axis = axis;
      this.reverse = reverse;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor y = Tensor.empty(x.backend(), x.dtype(), x.shape());
      if (x.numel() > 0) {
        x.backend()
            .cumsum(
                x.buffer(),
                y.buffer(),
                x.shape().product(0, axis),
                x.size(axis),
                x.shape().product(axis + 1, x.rank()),
                reverse);
      }
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {g == null ? null : new Cumsum(axis, !reverse).apply(g)};
    }
  }
}
