package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.backend.RowNormShape;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Root-mean-square normalisation as one node of the graph. Inputs: x, then weight if any. */
final class RmsNormFunction extends Function {
  private final double eps;

  RmsNormFunction(double eps) {
    super("rmsNorm");
    this.eps = eps;
  }

  private static @Nullable Buffer buffer(@Nullable Tensor t) {
    return t == null ? null : t.contiguous().buffer();
  }

  private RowNormShape shape(Tensor x) {
    return new RowNormShape(x.shape().product(0, x.rank() - 1), x.size(-1), eps);
  }

  @Override
  protected Tensor[] forward(Tensor... in) {
    Tensor x = in[0].contiguous();
    Backend backend = x.backend();
    Tensor invRms = Tensor.empty(backend, Norm.statistics(x), x.shape().with(-1, 1));
    Tensor y = Tensor.empty(backend, x.dtype(), x.shape());
    if (x.numel() > 0) {
      backend.rmsNormForward(
          x.buffer(), buffer(in.length > 1 ? in[1] : null), y.buffer(), invRms.buffer(), shape(x));
    }
    save(in[0], invRms);
    if (in.length > 1) {
      save(in[1]);
    }
    return new Tensor[] {y};
  }

  @Override
  protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
    @Nullable Tensor[] out = new Tensor[inputCount()];
    Tensor g = grads[0];
    if (g != null && (GradMode.isEnabled() || g.numel() == 0)) {
      compose(g, out);
    } else if (g != null) {
      fused(g.contiguous(), out);
    }
    return out;
  }

  private void fused(Tensor g, @Nullable Tensor[] out) {
    Tensor x = saved(0).contiguous();
    Backend backend = x.backend();
    @Nullable Tensor weight = inputCount() > 1 ? saved(2) : null;
    if (needsGrad(0)) {
      out[0] = Tensor.empty(backend, x.dtype(), x.shape());
    }
    @Nullable Tensor gradWeight =
        weight != null && needsGrad(1)
            ? emptyGradient(1, backend, weight.dtype(), Shape.of(x.size(-1)))
            : null;
    backend.rmsNormBackward(
        g.buffer(),
        x.buffer(),
        saved(1).buffer(),
        buffer(weight),
        buffer(out[0]),
        buffer(gradWeight),
        shape(x));
    if (weight != null) {
      out[1] = gradWeight;
    }
  }

  /** The same in tensor expressions, which can be differentiated again. */
  private void compose(Tensor gradient, @Nullable Tensor[] out) {
    Tensor x = saved(0);
    DType dtype = Norm.statistics(x);
    Tensor g = gradient.to(dtype);
    Tensor wide = x.to(dtype);
    Tensor invRms = wide.square().mean(true, -1).add(eps).rsqrt();
    Tensor normalised = wide.mul(invRms);
    @Nullable Tensor weight = inputCount() > 1 ? saved(2) : null;
    if (needsGrad(0)) {
      Tensor h = weight == null ? g : g.mul(weight.to(dtype));
      Tensor along = normalised.mul(h.mul(normalised).mean(true, -1));
      out[0] = h.sub(along).mul(invRms).to(x.dtype());
    }
    if (weight != null && needsGrad(1)) {
      int[] axes = new int[x.rank() - 1];
      Arrays.setAll(axes, i -> i);
      Tensor each = g.mul(normalised);
      // No axes would mean all of them.
      out[1] = (axes.length == 0 ? each : each.sum(axes)).to(weight.dtype());
    }
  }
}
