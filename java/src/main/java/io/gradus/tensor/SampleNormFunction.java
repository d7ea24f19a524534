package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.backend.GroupNormShape;
import io.gradus.backend.RowNormShape;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Normalisation by mean and deviation within a sample, of its rows (the last axis) or of groups of
 * channels over all positions, as one node of the graph. Inputs: x, then weight and bias, those
 * that there are.
 */
final class SampleNormFunction extends Function {
  /** In place of a number of groups. */
  private static final long ROWS = 0;

  private final long groups;
  private final double eps;
  private final int weightAt;
  private final int biasAt;
  private DType biasType = DType.FLOAT32;

  private SampleNormFunction(
      String name, long groups, double eps, boolean hasWeight, boolean hasBias) {
    super(name);
    this.groups = groups;
    this.eps = eps;
    this.weightAt = hasWeight ? 1 : -1;
    this.biasAt = hasBias ? (hasWeight ? 2 : 1) : -1;
  }

  static Function ofRows(double eps, boolean hasWeight, boolean hasBias) {
    return new SampleNormFunction("layerNorm", ROWS, eps, hasWeight, hasBias);
  }

  static Function ofGroups(
      String name, long groups, double eps, boolean hasWeight, boolean hasBias) {
    return new SampleNormFunction(name, groups, eps, hasWeight, hasBias);
  }

  private RowNormShape rows(Tensor x) {
    return new RowNormShape(x.shape().product(0, x.rank() - 1), x.size(-1), eps);
  }

  private GroupNormShape groups(Tensor x) {
    return new GroupNormShape(x.size(0), positions(x), x.size(-1), groups, eps);
  }

  private static long positions(Tensor x) {
    return x.shape().product(1, x.rank() - 1);
  }

  private static @Nullable Buffer buffer(@Nullable Tensor t) {
    return t == null ? null : t.contiguous().buffer();
  }

  @Override
  protected Tensor[] forward(Tensor... in) {
    Tensor x = in[0].contiguous();
    Backend backend = x.backend();
    Shape each = groups == ROWS ? x.shape().with(-1, 1) : Shape.of(x.size(0), groups);
    Tensor mean = Tensor.empty(backend, Norm.statistics(x), each);
    Tensor invStd = Tensor.empty(backend, Norm.statistics(x), each);
    Tensor y = Tensor.empty(backend, x.dtype(), x.shape());
    @Nullable Buffer weight = buffer(weightAt < 0 ? null : in[weightAt]);
    @Nullable Buffer bias = buffer(biasAt < 0 ? null : in[biasAt]);
    if (x.numel() > 0 && groups == ROWS) {
      backend.layerNormForward(
          x.buffer(), weight, bias, y.buffer(), mean.buffer(), invStd.buffer(), rows(x));
    } else if (x.numel() > 0) {
      backend.groupNormForward(
          x.buffer(), weight, bias, y.buffer(), mean.buffer(), invStd.buffer(), groups(x));
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
    Buffer mean = saved(1).buffer();
    Buffer invStd = saved(2).buffer();
    @Nullable Buffer w = buffer(weight);
    @Nullable Buffer gx = buffer(gradX);
    @Nullable Buffer gw = buffer(gradWeight);
    @Nullable Buffer gb = buffer(gradBias);
    if (groups == ROWS) {
      backend.layerNormBackward(g.buffer(), x.buffer(), mean, invStd, w, gx, gw, gb, rows(x));
    } else {
      backend.groupNormBackward(g.buffer(), x.buffer(), mean, invStd, w, gx, gw, gb, groups(x));
    }
    store(out, gradX, gradWeight, gradBias);
  }

  /**
   * The same in tensor expressions, which can be differentiated again: on x as it is, or on [N,
   * positions, groups, channels of a group].
   */
  private void compose(Tensor gradient, @Nullable Tensor[] out) {
    Tensor x = saved(0);
    DType dtype = Norm.statistics(x);
    boolean ofRows = groups == ROWS;
    long size = ofRows ? x.size(-1) : x.size(-1) / groups;
    long[] split = ofRows ? x.shape().dims() : new long[] {x.size(0), positions(x), groups, size};
    long[] channels = ofRows ? new long[] {size} : new long[] {groups, size};
    int[] averaged = ofRows ? new int[] {-1} : new int[] {1, 3};
    int[] rows = new int[split.length - channels.length];
    Arrays.setAll(rows, i -> i);
    Tensor g = gradient.to(dtype).reshape(split);
    Tensor wide = x.to(dtype).reshape(split);
    Tensor distance = wide.sub(wide.mean(true, averaged));
    Tensor invStd = distance.square().mean(true, averaged).add(eps).rsqrt();
    Tensor normalised = distance.mul(invStd);
    @Nullable Tensor weight = weightAt < 0 ? null : saved(3);
    @Nullable Tensor gradX = null;
    if (needsGrad(0)) {
      Tensor h = weight == null ? g : g.mul(weight.to(dtype).reshape(channels));
      Tensor along = normalised.mul(h.mul(normalised).mean(true, averaged));
      Tensor inner = h.sub(h.mean(true, averaged)).sub(along).mul(invStd);
      gradX = inner.reshape(x.shape().dims()).to(x.dtype());
    }
    @Nullable Tensor gradWeight =
        weight != null && needsGrad(weightAt)
            ? sum(g.mul(normalised), rows).reshape(x.size(-1)).to(weight.dtype())
            : null;
    @Nullable Tensor gradBias =
        biasAt > 0 && needsGrad(biasAt) ? sum(g, rows).reshape(x.size(-1)).to(biasType) : null;
    store(out, gradX, gradWeight, gradBias);
  }

  /** No axes would mean all of them. */
  private static Tensor sum(Tensor t, int[] axes) {
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
