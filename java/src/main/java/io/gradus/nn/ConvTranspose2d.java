package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Conv;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.ConvTranspose2dOptions;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A two-dimensional transposed convolution, which makes images larger.
 *
 * <p>Shapes: {@code x: [N, H, W, in] -> y: [N, OH, OW, out]}; weight [in, kh, kw, out / groups]
 * (PyTorch's is [in, out / groups, kh, kw]), bias [out]. Both start uniform on plus or minus 1 /
 * sqrt(kh kw out / groups), as PyTorch's. Source: Dumoulin, Visin, arXiv:1603.07285.
 *
 * <pre>{@code
 * Module doubling = new ConvTranspose2d(32, 16, 3, ConvTranspose2dOptions.of(2, 1, 1));
 * }</pre>
 */
public final class ConvTranspose2d extends Module {
  private final Tensor weight;
  private final @Nullable Tensor bias;
  private final ConvTranspose2dOptions options;

  /** A square kernel with a bias. */
  public ConvTranspose2d(long in, long out, int kernel, ConvTranspose2dOptions options) {
    this(in, out, kernel, kernel, options, true);
  }

  /**
   * From {@code in} channels to {@code out}.
   *
   * @param in input channels
   * @param out output channels
   * @param kernelH rows of the kernel
   * @param kernelW columns of the kernel
   * @param options stride, padding, output padding, dilation, groups
   * @param withBias whether there is a bias
   * @throws io.gradus.core.ArgumentException when a number is not positive or the groups do not
   *     divide the channels
   */
  public ConvTranspose2d(
      long in,
      long out,
      int kernelH,
      int kernelW,
      ConvTranspose2dOptions options,
      boolean withBias) {
    Checks.argument(
        in > 0 && out > 0 && kernelH > 0 && kernelW > 0,
        "[convTranspose2d] channels %d and %d and kernel (%d, %d) must be positive",
        in,
        out,
        kernelH,
        kernelW);
    int groups = options.convolution().groups();
    Checks.argument(
        in % groups == 0 && out % groups == 0,
        "[convTranspose2d] %d groups do not divide channels %d and %d",
        groups,
        in,
        out);
    this.options = options;
    long each = out / groups;
    weight = registerParameter("weight", Defaults.weight(in, kernelH, kernelW, each));
    bias =
        withBias ? registerParameter("bias", Defaults.bias(out, each * kernelH * kernelW)) : null;
  }

  /** The weight [in, kh, kw, out / groups]. */
  public Tensor weight() {
    return weight;
  }

  /** The bias [out], or null. */
  public @Nullable Tensor bias() {
    return bias;
  }

  @Override
  public Tensor forward(Tensor x) {
    return Conv.convTranspose2d(x, weight, bias, options);
  }

  @Override
  protected String describe() {
    Conv2dOptions o = options.convolution();
    StringBuilder text = new StringBuilder("ConvTranspose2d(");
    text.append(weight.size(0)).append(", ").append(weight.size(3) * o.groups());
    text.append(", kernel=").append(weight.size(1)).append('x').append(weight.size(2));
    text.append(", stride=").append(o.strideH()).append('x').append(o.strideW());
    text.append(", padding=").append(o.padH()).append('x').append(o.padW());
    if (options.outputPadH() != 0 || options.outputPadW() != 0) {
      text.append(", outputPadding=").append(options.outputPadH());
      text.append('x').append(options.outputPadW());
    }
    if (o.dilationH() != 1 || o.dilationW() != 1) {
      text.append(", dilation=").append(o.dilationH()).append('x').append(o.dilationW());
    }
    if (o.groups() != 1) {
      text.append(", groups=").append(o.groups());
    }
    return text.append(bias == null ? ", no bias)" : ")").toString();
  }
}
