package io.gradus.tensor;

import io.gradus.core.DType;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The gradients of batch normalisation in tensor expressions, which can be differentiated again.
 * With g the gradient where the activation let the value pass, and n = (x - mean) invStd:
 *
 * <pre>{@code
 * ofBias = sum(g);  ofWeight = sum(g n);  ofResidual = g
 * ofX = weight invStd (g - mean(g) - n mean(g n)) in training, else weight invStd g
 * }</pre>
 */
final class BatchNormGradient {
  private final Tensor g;
  private final Tensor normalised;
  private final Tensor invStd;
  private final DType dtype;
  private final boolean training;
  private final int[] axes;

  /**
   * For a gradient of the result.
   *
   * @param y the result, where its sign is the mask of RELU; else null
   * @param mean known mean; in training that of x, which depends on it, takes its place
   * @param invStd the same of the deviation
   */
  BatchNormGradient(
      Tensor gradient,
      Tensor x,
      @Nullable Tensor y,
      Tensor mean,
      Tensor invStd,
      BatchNormOptions options) {
    this.dtype = x.dtype();
    this.training = options.training();
    this.axes = new int[x.rank() - 1];
    Arrays.setAll(axes, i -> i);
    DType wide = Norm.statistics(x);
    Tensor given = gradient.to(wide);
    this.g = y == null ? given : given.mul(y.detach().step().to(wide));
    Tensor values = x.to(wide);
    Tensor distance = values.sub(training ? values.mean(true, axes) : mean);
    this.invStd = training ? distance.square().mean(true, axes).add(options.eps()).rsqrt() : invStd;
    this.normalised = distance.mul(this.invStd);
  }

  Tensor ofX(@Nullable Tensor weight) {
    Tensor slope = g;
    if (training) {
      Tensor along = normalised.mul(g.mul(normalised).mean(true, axes));
      slope = g.sub(g.mean(true, axes)).sub(along);
    }
    slope = slope.mul(invStd);
    return (weight == null ? slope : slope.mul(weight.to(g.dtype()))).to(dtype);
  }

  Tensor ofWeight(DType type) {
    return g.mul(normalised).sum(axes).to(type);
  }

  Tensor ofBias(DType type) {
    return g.sum(axes).to(type);
  }

  Tensor ofResidual() {
    return g.to(dtype);
  }
}
