package io.gradus.tensor;

import io.gradus.backend.AttentionShape;
import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Scaled dot-product attention as one node of the graph. Inputs: q, k, v. */
final class AttentionFunction extends Function {
  private final AttentionShape shape;
  private final double scale;
  private final @Nullable Buffer rng;
  private final long stream;
  private final double p;

  /** {@code rng} is null where p is 0. */
  AttentionFunction(
      AttentionShape shape, double scale, @Nullable Buffer rng, long stream, double p) {
    super("scaledDotProductAttention");
    this.shape = shape;
    this.scale = scale;
    this.rng = rng;
    this.stream = stream;
    this.p = p;
  }

  @Override
  protected Tensor[] forward(Tensor... in) {
    Tensor q = in[0].contiguous();
    Tensor k = in[1].contiguous();
    Tensor v = in[2].contiguous();
    Backend backend = q.backend();
    Shape perRow = Shape.of(shape.batch(), shape.heads(), shape.queries());
    Tensor logSumExp = Tensor.empty(backend, accumulator(q), perRow);
    Tensor out;
    if (q.numel() == 0 || k.numel() == 0) {
      out = Tensor.full(backend, q.dtype(), q.shape(), 0);
    } else {
      out = Tensor.empty(backend, q.dtype(), q.shape());
      backend.attentionForward(
          q.buffer(),
          k.buffer(),
          v.buffer(),
          rng,
          out.buffer(),
          logSumExp.buffer(),
          shape,
          scale,
          stream,
          p);
    }
    save(in[0], in[1], in[2], out, logSumExp);
    return new Tensor[] {out};
  }

  private static DType accumulator(Tensor x) {
    return x.dtype().isHalf() ? DType.FLOAT32 : x.dtype();
  }

  @Override
  protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
    Tensor g = grads[0];
    if (g == null) {
      return new Tensor[3];
    }
    return GradMode.isEnabled() || g.numel() == 0 || saved(1).numel() == 0
        ? compose(g)
        : fused(g.contiguous());
  }

  private Tensor[] fused(Tensor g) {
    Tensor q = saved(0).contiguous();
    Tensor k = saved(1).contiguous();
    Tensor v = saved(2).contiguous();
    Backend backend = q.backend();
    Tensor gradQ = Tensor.empty(backend, q.dtype(), q.shape());
    Tensor gradK = Tensor.empty(backend, k.dtype(), k.shape());
    Tensor gradV = Tensor.empty(backend, v.dtype(), v.shape());
    backend.attentionBackward(
        g.buffer(),
        q.buffer(),
        k.buffer(),
        v.buffer(),
        saved(3).buffer(),
        saved(4).buffer(),
        rng,
        gradQ.buffer(),
        gradK.buffer(),
        gradV.buffer(),
        shape,
        scale,
        stream,
        p);
    return new Tensor[] {gradQ, gradK, gradV};
  }

  /** The same in tensor expressions; the query heads of a key head are one long matrix. */
  private Tensor[] compose(Tensor gradient) {
    Tensor k = saved(1);
    DType dtype = accumulator(k);
    long group = shape.heads() / shape.kvHeads();
    long[] byKeyHead = {
      shape.batch(), shape.kvHeads(), group * shape.queries(), shape.dim(),
    };
    Tensor q = saved(0).to(dtype).reshape(byKeyHead);
    Tensor wideK = k.to(dtype);
    Tensor v = saved(2).to(dtype);
    Tensor g = gradient.to(dtype).reshape(byKeyHead);
    Tensor scores = q.matmul(wideK.t()).mul(scale);
    if (shape.causal()) {
      scores = scores.maskedFill(hidden(k, group), Double.NEGATIVE_INFINITY);
    }
    Tensor weights = Softmax.softmax(scores, -1);
    Tensor gradWeights = g.matmul(v.t());
    Tensor mixed = weights;
    if (rng != null) {
      Tensor factors = factors(rng, weights);
      mixed = weights.mul(factors);
      gradWeights = gradWeights.mul(factors);
    }
    Tensor delta = gradWeights.mul(weights).sum(true, -1);
    Tensor gradScores = weights.mul(gradWeights.sub(delta)).mul(scale);
    return new Tensor[] {
      gradScores.matmul(wideK).reshape(saved(0).shape().dims()).to(k.dtype()),
      gradScores.t().matmul(q).to(k.dtype()),
      mixed.t().matmul(g).to(k.dtype())
    };
  }

  /** Which keys a query of the long matrix does not see, [queries of a key head, keys]. */
  private Tensor hidden(Tensor like, long group) {
    long[] bounds = new long[Math.toIntExact(group * shape.queries())];
    Arrays.setAll(bounds, row -> shape.visible(row % shape.queries()));
    Tensor bound = Tensor.of(bounds, bounds.length, 1).to(like.device());
    return Tensor.arange(shape.keys()).to(like.device()).ge(bound);
  }

  /** What dropout multiplies the weights with: the draws of the forward. */
  private Tensor factors(Buffer state, Tensor weights) {
    Tensor ones = Tensor.full(weights.backend(), weights.dtype(), weights.shape(), 1);
    if (ones.numel() == 0) {
      return ones;
    }
    Tensor out = Tensor.empty(weights.backend(), weights.dtype(), weights.shape());
    weights.backend().dropout(ones.buffer(), state, out.buffer(), ones.numel(), stream, p);
    return out;
  }
}
