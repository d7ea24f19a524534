package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.backend.RowNormShape;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Layer normalisation as one node of the graph. Inputs: x, then weight and bias, those that there
 * are.
 */
final class LayerNormFunction extends Function {
  private final double eps;
  private final int weightAt;
  private final int biasAt;
  private DType biasType = DType.FLOAT32;

  LayerNormFunction(double eps, boolean hasWeight, boolean hasBias) {
    super("layerNorm");
    this.eps = eps;
    this.weightAt = hasWeight ? 1 : -1;
    this.biasAt = hasBias ? (hasWeight ? 2 : 1) : -1;
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
    Shape perRow = x.shape().with(-1, 1);
    Tensor mean = Tensor.empty(backend, Norm.statistics(x), perRow);
    Tensor invStd = Tensor.empty(backend, Norm.statistics(x), perRow);
    Tensor y = Tensor.empty(backend, x.dtype(), x.shape());
    if (x.numel() > 0) {
      backend.layerNormForward(
          x.buffer(),
          buffer(weightAt < 0 ? null : in[weightAt]),
          buffer(biasAt < 0 ? null : in[biasAt]),
          y.buffer(),
          mean.buffer(),
          invStd.buffer(),
          shape(x));
    }
    save(in[0], mean, invStd);
    if (weightAt > 0) {
      save(in[weightAt]);
    }
    if (biasAt > 0) {
      biasType = in[biasAt].dtype();
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
    Shape row = Shape.of(x.size(-1));
    @Nullable Tensor weight = weightAt < 0 ? null : saved(3);
    @Nullable Tensor gradX = needsGrad(0) ? Tensor.empty(backend, x.dtype(), x.shape()) : null;
    @Nullable Tensor gradWeight =
        weight != null && needsGrad(weightAt)
            ? emptyGradient(weightAt, backend, weight.dtype(), row)
            : null;
    @Nullable Tensor gradBias =
        biasAt > 0 && needsGrad(biasAt) ? emptyGradient(biasAt, backend, biasType, row) : null;
    backend.layerNormBackward(
        g.buffer(),
        x.buffer(),
        saved(1).buffer(),
        saved(2).buffer(),
        buffer(weight),
        buffer(gradX),
        buffer(gradWeight),
        buffer(gradBias),
        shape(x));
    store(out, gradX, gradWeight, gradBias);
  }

  /** The same in tensor expressions, which can be differentiated again. */
  private void compose(Tensor gradient, @Nullable Tensor[] out) {
    Tensor x = saved(0);
    DType dtype = Norm.statistics(x);
    int[] axes = new int[x.rank() - 1];
    Arrays.setAll(axes, i -> i);
    Tensor g = gradient.to(dtype);
    Tensor wide = x.to(dtype);
    Tensor distance = wide.sub(wide.mean(true, -1));
    Tensor invStd = distance.square().mean(true, -1).add(eps).rsqrt();
    Tensor normalised = distance.mul(invStd);
    @Nullable Tensor weight = weightAt < 0 ? null : saved(3);
    @Nullable Tensor gradX = null;
    if (needsGrad(0)) {
      Tensor h = weight == null ? g : g.mul(weight.to(dtype));
      Tensor along = normalised.mul(h.mul(normalised).mean(true, -1));
      gradX = h.sub(h.mean(true, -1)).sub(along).mul(invStd).to(x.dtype());
    }
    @Nullable Tensor gradWeight =
        weight != null && needsGrad(weightAt)
            ? sumRows(g.mul(normalised), axes).to(weight.dtype())
            : null;
    @Nullable Tensor gradBias =
        biasAt > 0 && needsGrad(biasAt) ? sumRows(g, axes).to(biasType) : null;
    store(out, gradX, gradWeight, gradBias);
  }

  /** No axes would mean all of them. */
  private static Tensor sumRows(Tensor t, int[] axes) {
    return axes.length == 0 ? t : t.sum(axes);
  }

  private void store(
      @Nullable Tensor[] out,
      @Nullable Tensor gradX,
      @Nullable Tensor gradWeight,
      @Nullable Tensor gradBias) {
    out[0] = gradX;
    if (weightAt > 0) {
      out[weightAt] = gradWeight;
    }
    if (biasAt > 0) {
      out[biasAt] = gradBias;
    }
  }
}
