package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Conv;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.Convolved;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A two-dimensional convolution (cross-correlation, as all frameworks have it).
 *
 * <p>Shapes: {@code x: [N, H, W, in] -> y: [N, OH, OW, out]}; weight [out, kh, kw, in / groups],
 * bias [out]. Both start uniform on plus or minus 1 / sqrt(kh kw in / groups), as PyTorch's.
 * Source: LeCun et al., Proc. IEEE 86, 1998.
 *
 * <pre>{@code
 * Module same = new Conv2d(3, 32, 3, Conv2dOptions.of(1, 1));
 * }</pre>
 */
public final class Conv2d extends Module {
  private final Tensor weight;
  private final @Nullable Tensor bias;
  private final Conv2dOptions options;

  /** A square kernel with stride 1, no padding and a bias. */
  public Conv2d(long in, long out, int kernel) {
    this(in, out, kernel, Conv2dOptions.DEFAULT);
  }

  /** A square kernel with a bias. */
  public Conv2d(long in, long out, int kernel, Conv2dOptions options) {
    this(in, out, kernel, kernel, options, true);
  }

  /**
   * From {@code in} channels to {@code out}.
   *
   * @param in input channels
   * @param out output channels
   * @param kernelH rows of the kernel
   * @param kernelW columns of the kernel
   * @param options stride, padding, dilation, groups
   * @param withBias whether there is a bias; none is needed before a batch norm
   * @throws io.gradus.core.ArgumentException when a number is not positive or the groups do not
   *     divide the channels
   */
  public Conv2d(
      long in, long out, int kernelH, int kernelW, Conv2dOptions options, boolean withBias) {
    Checks.argument(
        in > 0 && out > 0 && kernelH > 0 && kernelW > 0,
        "[conv2d] channels %d and %d and kernel (%d, %d) must be positive",
        in,
        out,
        kernelH,
        kernelW);
    int groups = options.groups();
    Checks.argument(
        in % groups == 0 && out % groups == 0,
        "[conv2d] %d groups do not divide channels %d and %d",
        groups,
        in,
        out);
    this.options = options;
    long each = in / groups;
    weight = registerParameter("weight", Defaults.weight(out, kernelH, kernelW, each));
    bias =
        withBias ? registerParameter("bias", Defaults.bias(out, each * kernelH * kernelW)) : null;
  }

  /** The weight [out, kh, kw, in / groups]. */
  public Tensor weight() {
    return weight;
  }

  /** The bias [out], or null. */
  public @Nullable Tensor bias() {
    return bias;
  }

  @Override
  public Tensor forward(Tensor x) {
    return Conv.conv2d(x, weight, bias, options);
  }

  /** With statistics for the batch normalisation that follows it. */
  Convolved gather(Tensor x) {
    return Convolved.conv2d(x, weight, bias, options);
  }

  /**
   * Of what a batch normalisation and RELU make of x: see {@link Convolved#batchNormConv2d}.
   *
   * @param gathers whether there are statistics, for another normalisation behind it
   */
  Convolved forward(Convolved x, BatchNorm norm, boolean gathers) {
    return norm.forward(x, weight, bias, options, gathers);
  }

  @Override
  protected String describe() {
    StringBuilder text = new StringBuilder("Conv2d(");
    text.append(weight.size(3) * options.groups()).append(", ").append(weight.size(0));
    text.append(", kernel=").append(weight.size(1)).append('x').append(weight.size(2));
    text.append(", stride=").append(options.strideH()).append('x').append(options.strideW());
    text.append(", padding=").append(options.padH()).append('x').append(options.padW());
    if (options.dilationH() != 1 || options.dilationW() != 1) {
      text.append(", dilation=").append(options.dilationH());
      text.append('x').append(options.dilationW());
    }
    if (options.groups() != 1) {
      text.append(", groups=").append(options.groups());
    }
    return text.append(bias == null ? ", no bias)" : ")").toString();
  }
}
