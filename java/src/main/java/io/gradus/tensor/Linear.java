package io.gradus.tensor;

import io.gradus.backend.Activation;
import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.core.Checks;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/** The affine map of a fully connected layer. */
public final class Linear {
  private Linear() {}

  /**
   * Multiplies rows by a matrix and adds a vector.
   *
   * <pre>{@code
   * y[.., o] = bias[o] + sum over i of x[.., i] weight[o, i]
   * }</pre>
   *
   * <p>Shapes: x: [.., I], weight: [O, I], bias: [O] -> y: [.., O]; leading axes may be any, and of
   * extent 0. Any floating type, the same for all; 16-bit types sum in float32. Differentiable any
   * number of times.
   *
   * <p>Source: Goodfellow, Bengio and Courville, "Deep Learning", 2016, chapter 6.
   *
   * <pre>{@code
   * Tensor hidden = Linear.linear(x, weight, bias).relu();
   * }</pre>
   *
   * @param bias added to every row, or null
   * @throws io.gradus.core.ShapeException when ranks or extents do not fit
   * @throws io.gradus.core.DTypeException when the types differ or are not floating
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor linear(Tensor x, Tensor weight, @Nullable Tensor bias) {
    return linear(x, weight, bias, Activation.NONE);
  }

  /**
   * {@link #linear(Tensor, Tensor, Tensor)} with an activation in the same pass over memory.
   *
   * <p>Shapes: x: [.., I], weight: [O, I], bias: [O] -> y: [.., O]. Any floating type, the same for
   * all. Differentiable any number of times: the activation's own output tells where it let pass.
   *
   * <p>Source: Goodfellow, Bengio and Courville, "Deep Learning", 2016, chapter 6.
   *
   * <pre>{@code
   * Tensor hidden = Linear.linear(x, weight, bias, Activation.RELU);
   * }</pre>
   *
   * @param bias added to every row, or null
   * @param activation applied last
   * @throws io.gradus.core.ShapeException when ranks or extents do not fit
   * @throws io.gradus.core.DTypeException when the types differ or are not floating
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor linear(
      Tensor x, Tensor weight, @Nullable Tensor bias, Activation activation) {
    try (Scope s = Scope.open()) {
      return s.keep(
          affine(
              Precision.product(x),
              Precision.product(weight),
              bias == null ? null : Precision.product(bias),
              activation));
    }
  }

  private static Tensor affine(
      Tensor x, Tensor weight, @Nullable Tensor bias, Activation activation) {
    Checks.shape(
        weight.rank() == 2,
        "[linear] weight %s must be [out, in]: 2 axes, not %d",
        weight.shape(),
        weight.rank());
    Checks.shape(x.rank() > 0, "[linear] x is a scalar but must be [.., %d]", weight.size(1));
    Checks.dtype(
        x.dtype().isFloating(),
        "[linear] x is %s but must be of a floating type: convert it with to(DType.FLOAT32)",
        x.dtype());
    Operands.check("linear", x, "weight", weight);
    Checks.shape(
        x.size(-1) == weight.size(1),
        "[linear] x has %d features but weight expects %d (x %s, weight %s)",
        x.size(-1),
        weight.size(1),
        x.shape(),
        weight.shape());
    if (bias == null) {
      return new Affine(activation).apply(x, weight);
    }
    Operands.check("linear", x, "bias", bias);
    Checks.shape(
        bias.rank() == 1 && bias.size(0) == weight.size(0),
        "[linear] bias %s must have one element for each of the %d outputs: [%d] (weight %s)",
        bias.shape(),
        weight.size(0),
        weight.size(0),
        weight.shape());
    return new Affine(activation).apply(x, weight, bias);
  }

  /** activation(x weight^T + bias). */
  private static final class Affine extends Function {
    private final Activation activation;

    Affine(Activation activation) {
      super("linear");
      this.activation = activation;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor weight = in[1].contiguous();
      long outputs = weight.size(0);
      Tensor y = Tensor.empty(x.backend(), x.dtype(), x.shape().with(-1, outputs));
      x.backend()
          .linearForward(
              x.buffer(),
              weight.buffer(),
              in.length > 2 ? in[2].contiguous().buffer() : null,
              y.buffer(),
              x.shape().product(0, x.rank() - 1),
              x.size(-1),
              outputs,
              activation);
      if (activation == Activation.NONE) {
        save(in[0], in[1]);
      } else {
        save(in[0], in[1], y);
      }
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      @Nullable Tensor[] out = new Tensor[inputCount()];
      Tensor gradY = grads[0];
      if (gradY == null) {
        return out;
      }
      if (!GradMode.isEnabled()) {
        fused(gradY.contiguous(), out);
        return out;
      }
      Tensor x = saved(0);
      Tensor weight = saved(1);
      long rows = x.shape().product(0, x.rank() - 1);
      if (activation == Activation.RELU) {
        gradY = Elementwise.binary(BinaryOp.GATE, gradY, saved(2));
      }
      boolean flat = x.rank() == 2;
      Tensor g = flat ? gradY : gradY.reshape(rows, weight.size(0));
      if (needsGrad(0)) {
        Tensor gradX = g.matmul(weight);
        out[0] = flat ? gradX : gradX.reshape(x.shape().dims());
      }
      if (needsGrad(1)) {
        out[1] = g.t().matmul(flat ? x : x.reshape(rows, x.size(-1)));
      }
      if (needsGrad(2)) {
        out[2] = g.sum(0);
      }
      return out;
    }

    private void fused(Tensor gradY, @Nullable Tensor[] out) {
      Tensor x = saved(0).contiguous();
      Tensor weight = saved(1).contiguous();
      long outputs = weight.size(0);
      for (int i = 0; i < out.length; i++) {
        Shape shape = i == 0 ? x.shape() : i == 1 ? weight.shape() : Shape.of(outputs);
        out[i] = needsGrad(i) ? emptyGradient(i, x.backend(), x.dtype(), shape) : null;
      }
      x.backend()
          .linearBackward(
              gradY.buffer(),
              activation == Activation.NONE ? null : saved(2).buffer(),
              x.buffer(),
              weight.buffer(),
              window(out[0]),
              window(out[1]),
              out.length > 2 ? window(out[2]) : null,
              x.shape().product(0, x.rank() - 1),
              x.size(-1),
              outputs,
              activation);
    }

    private static @Nullable Buffer window(@Nullable Tensor gradient) {
      return gradient == null ? null : gradient.buffer();
    }
  }
}
