package io.gradus.tensor;

import static java.util.Objects.requireNonNull;

import io.gradus.backend.Activation;
import io.gradus.backend.Backend;
import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.core.Checks;
import io.gradus.core.DType;
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
              Precision.weight(weight),
              bias == null ? null : Precision.product(bias),
              activation));
    }
  }

  private static Tensor affine(
      Tensor x, Tensor parameter, @Nullable Tensor bias, Activation activation) {
    Tensor weight = Precision.product(parameter.detach());
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
      return new Affine(activation, parameter, weight).apply(x, parameter);
    }
    Operands.check("linear", x, "bias", bias);
    Checks.shape(
        bias.rank() == 1 && bias.size(0) == weight.size(0),
        "[linear] bias %s must have one element for each of the %d outputs: [%d] (weight %s)",
        bias.shape(),
        weight.size(0),
        weight.size(0),
        weight.shape());
    return new Affine(activation, parameter, weight).apply(x, parameter, bias);
  }

  /**
   * activation(x weight^T + bias). The weight that it is applied to may be the FLOAT32 one of which
   * a rounded copy is multiplied: its gradient is FLOAT32 then, of sums that are not rounded.
   */
  private static final class Affine extends Function {
    private final Activation activation;
    private final boolean rounds;
    private @Nullable Tensor multiplied;

    /** The weight to multiply with, in the type of x. */
    Affine(Activation activation, Tensor parameter, Tensor weight) {
      super("linear");
      this.activation = activation;
      this.rounds = weight.dtype() != parameter.dtype();
      this.multiplied = weight;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor weight = requireNonNull(multiplied).contiguous();
      multiplied = null;
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
      save(in[0], in[1]);
      if (rounds) {
        save(weight);
      }
      if (activation != Activation.NONE) {
        save(y);
      }
      return new Tensor[] {y};
    }

    /** What forward gave; saved where there is an activation. */
    private Tensor result() {
      return saved(rounds ? 3 : 2);
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
        gradY = Elementwise.binary(BinaryOp.GATE, gradY, result());
      }
      boolean flat = x.rank() == 2;
      Tensor g = flat ? gradY : gradY.reshape(rows, weight.size(0));
      if (needsGrad(0)) {
        Tensor gradX = g.matmul(weight.to(g.dtype()));
        out[0] = flat ? gradX : gradX.reshape(x.shape().dims());
      }
      if (needsGrad(1)) {
        Tensor rowsOfX = flat ? x : x.reshape(rows, x.size(-1));
        out[1] = g.to(weight.dtype()).t().matmul(rowsOfX.to(weight.dtype()));
      }
      if (needsGrad(2)) {
        out[2] = g.sum(0);
      }
      return out;
    }

    private void fused(Tensor gradY, @Nullable Tensor[] out) {
      Tensor x = saved(0).contiguous();
      Tensor weight = saved(rounds ? 2 : 1).contiguous();
      Backend backend = x.backend();
      long outputs = weight.size(0);
      out[0] = needsGrad(0) ? emptyGradient(0, backend, x.dtype(), x.shape()) : null;
      boolean adds = false;
      if (needsGrad(1)) {
        DType type = rounds ? DType.FLOAT32 : x.dtype();
        out[1] = gradientToAddTo(1, backend, type, weight.shape());
        adds = out[1] != null;
        if (!adds) {
          out[1] = emptyGradient(1, backend, type, weight.shape());
        }
      }
      if (needsGrad(2)) {
        out[2] = emptyGradient(2, backend, x.dtype(), Shape.of(outputs));
      }
      backend.linearBackward(
          gradY.buffer(),
          activation == Activation.NONE ? null : result().buffer(),
          x.buffer(),
          weight.buffer(),
          window(out[0]),
          window(out[1]),
          adds,
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
