package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A fully connected layer: y = x weight^T + bias.
 *
 * <p>Shapes: {@code x: [.., in] -> y: [.., out]}; weight [out, in], bias [out]. Both start uniform
 * on plus or minus 1 / sqrt(in), as PyTorch's. A ReLU after it runs in the same pass. Source: LeCun
 * et al., "Efficient BackProp", 1998.
 */
public final class Linear extends Module implements TakesEpilogue {
  private final Tensor weight;
  private final @Nullable Tensor bias;
  private final long in;
  private final long out;

  /** With a bias. */
  public Linear(long in, long out) {
    this(in, out, true);
  }

  /**
   * From {@code in} features to {@code out}.
   *
   * @throws io.gradus.core.ArgumentException when a number is not positive
   */
  public Linear(long in, long out, boolean withBias) {
    Checks.argument(
        in > 0 && out > 0, "[linear] %d input and %d output features must be positive", in, out);
    this.in = in;
    this.out = out;
    weight = registerParameter("weight", Defaults.weight(out, in));
    bias = withBias ? registerParameter("bias", Defaults.bias(out, in)) : null;
  }

  /** The weight [out, in]. */
  public Tensor weight() {
    return weight;
  }

  /** The bias [out], or null. */
  public @Nullable Tensor bias() {
    return bias;
  }

  @Override
  public Tensor forward(Tensor x) {
    return io.gradus.tensor.Linear.linear(x, weight, bias);
  }

  @Override
  public boolean takesEpilogue() {
    return !hasHooks();
  }

  @Override
  public Tensor forward(Tensor x, @Nullable Tensor residual, Activation activation) {
    if (residual == null) {
      return io.gradus.tensor.Linear.linear(x, weight, bias, activation);
    }
    Tensor sum = forward(x).add(residual);
    return activation == Activation.RELU ? sum.relu() : sum;
  }

  @Override
  protected String describe() {
    return "Linear(" + in + ", " + out + (bias == null ? ", no bias)" : ")");
  }
}
