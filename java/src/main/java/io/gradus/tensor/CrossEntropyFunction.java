package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Cross-entropy of labels as one node of the graph. Input: logits. Outputs: the loss of every row,
 * and the weight of every row, which is constant.
 */
final class CrossEntropyFunction extends Function {
  private final Tensor target;
  private final @Nullable Tensor weight;
  private final double smoothing;
  private final long ignored;

  /** The target is INT64 and dense, the weight dense. */
  CrossEntropyFunction(Tensor target, @Nullable Tensor weight, double smoothing, long ignored) {
    super("crossEntropy");
    this.target = target;
    this.weight = weight;
    this.smoothing = smoothing;
    this.ignored = ignored;
  }

  @Override
  protected Tensor[] forward(Tensor... in) {
    Tensor logits = in[0].contiguous();
    Backend backend = logits.backend();
    DType dtype = Norm.statistics(logits);
    Tensor loss = Tensor.empty(backend, dtype, target.shape());
    Tensor rowWeight = Tensor.empty(backend, dtype, target.shape());
    Tensor logSum = Tensor.empty(backend, dtype, target.shape());
    if (target.numel() > 0) {
      backend.crossEntropyForward(
          logits.buffer(),
          target.buffer(),
          weight == null ? null : weight.buffer(),
          loss.buffer(),
          rowWeight.buffer(),
          logSum.buffer(),
          target.numel(),
          logits.size(-1),
          smoothing,
          ignored);
    }
    save(in[0], target, logSum);
    if (weight != null) {
      save(weight);
    }
    return new Tensor[] {loss, rowWeight};
  }

  @Override
  protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
    Tensor g = grads[0];
    if (g == null) {
      return new Tensor[1];
    }
    Tensor labels = saved(1);
    @Nullable Tensor weights = weight == null ? null : saved(3);
    if (GradMode.isEnabled()) {
      return new Tensor[] {compose(g, saved(0), labels, weights)};
    }
    Tensor logits = saved(0).contiguous();
    Tensor gradLogits = Tensor.empty(logits.backend(), logits.dtype(), logits.shape());
    if (labels.numel() > 0) {
      Buffer weightBuffer = weights == null ? null : weights.buffer();
      logits
          .backend()
          .crossEntropyBackward(
              g.contiguous().buffer(),
              logits.buffer(),
              saved(2).buffer(),
              labels.buffer(),
              weightBuffer,
              gradLogits.buffer(),
              labels.numel(),
              logits.size(-1),
              smoothing,
              ignored);
    }
    return new Tensor[] {gradLogits};
  }

  /** The same in tensor expressions, which can be differentiated again. */
  private Tensor compose(Tensor g, Tensor logits, Tensor labels, @Nullable Tensor weights) {
    DType dtype = Norm.statistics(logits);
    Tensor skipped = labels.eq((double) ignored);
    Tensor q = labels.maskedFill(skipped, 0).oneHot(logits.size(-1)).to(dtype);
    q = q.mul(1 - smoothing).add(smoothing / logits.size(-1));
    if (weights != null) {
      q = q.mul(weights.to(dtype));
    }
    Tensor slope = Softmax.softmax(logits.to(dtype), -1).mul(q.sum(true, -1)).sub(q);
    Tensor counted = g.maskedFill(skipped, 0).unsqueeze(-1);
    return slope.mul(counted).to(logits.dtype());
  }
}
