package io.gradus.tensor;

import io.gradus.backend.Buffer;
import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Dropout: random zeros in training. */
public final class Dropout {
  private Dropout() {}

  /**
   * Sets each element to 0 with probability p in training and scales the others so that the
   * expectation stays.
   *
   * <p>{@code y = kept ? x / (1 - p) : 0}; outside training, or with p = 0, y is x itself and no
   * random number is drawn; p = 1 gives zeros. p is resolved to 1/65536. The mask comes from this
   * thread's {@link Generator} and is the same on every device. (Srivastava's own form scales by 1
   * - p at test time instead.)
   *
   * <p>Shapes: {@code x: [..] -> y: [..]}
   *
   * <p>Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout", JMLR 15, 2014.
   *
   * <pre>{@code
   * Tensor y = Dropout.dropout(hidden, 0.5, training);
   * }</pre>
   *
   * @param x floating
   * @param p probability of a zero, 0 to 1
   * @param training whether to drop at all
   * @return y, or x itself
   * @throws io.gradus.core.ArgumentException when p is not within 0 to 1
   * @throws io.gradus.core.DTypeException when x is not floating
   */
  public static Tensor dropout(Tensor x, double p, boolean training) {
    check("dropout", x, p);
    return training && p > 0 ? apply("dropout", x, p, false) : x;
  }

  /**
   * Sets whole channels of a sample to 0 with probability p in training: one draw for each sample
   * (first axis) and channel (last axis), the same at every position between.
   *
   * <p>{@code y[n, .., c] = kept[n, c] ? x[n, .., c] / (1 - p) : 0}, else as {@link #dropout}.
   *
   * <p>Shapes: {@code x: [N, .., C] -> y: [N, .., C]}
   *
   * <p>Source: Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using
   * convolutional networks", CVPR 2015.
   *
   * <pre>{@code
   * Tensor y = Dropout.dropoutChannels(images, 0.2, training);
   * }</pre>
   *
   * @param x floating, at least two axes
   * @param p probability of a zero, 0 to 1
   * @param training whether to drop at all
   * @return y, or x itself
   * @throws io.gradus.core.ArgumentException when p is not within 0 to 1
   * @throws io.gradus.core.DTypeException when x is not floating
   * @throws io.gradus.core.ShapeException when x has fewer than two axes
   */
  public static Tensor dropoutChannels(Tensor x, double p, boolean training) {
    check("dropoutChannels", x, p);
    Checks.shape(
        x.rank() >= 2,
        "[dropoutChannels] x %s needs a sample axis and a channel axis: use dropout",
        x.shape());
    return training && p > 0 ? apply("dropoutChannels", x, p, true) : x;
  }

  /**
   * Adds a bias, drops elements in training and adds a residual, in one operation: what ends a
   * block of a transformer.
   *
   * <p>{@code y = dropout(x + bias) + residual}, the dropout as in {@link #dropout}; outside
   * training, or with p = 0, {@code y = x + bias + residual} and no random number is drawn. 16-bit
   * types compute in float32 and round once.
   *
   * <p>Shapes: {@code x, residual: [.., C]; bias: [C] -> y: [.., C]}
   *
   * <p>Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 5.4.
   *
   * <pre>{@code
   * Tensor y = Dropout.biasDropoutResidual(x.matmul(w), bias, input, 0.1, training);
   * }</pre>
   *
   * @param x floating, at least one axis
   * @param bias [C], of the type of x, or null for 0
   * @param residual of the shape and type of x, or null for 0
   * @param p probability of a zero, 0 to 1
   * @param training whether to drop at all
   * @return y
   * @throws io.gradus.core.ArgumentException when p is not within 0 to 1
   * @throws io.gradus.core.DTypeException when x is not floating or the types differ
   * @throws io.gradus.core.ShapeException when the shapes do not fit
   */
  public static Tensor biasDropoutResidual(
      Tensor x, @Nullable Tensor bias, @Nullable Tensor residual, double p, boolean training) {
    try (Scope s = Scope.open()) {
      Tensor met = residual == null ? x : Precision.meeting(x, residual);
      return s.keep(
          fused(
              met,
              bias == null ? null : Precision.like(met, bias),
              residual == null ? null : Precision.like(met, residual),
              p,
              training));
    }
  }

  private static Tensor fused(
      Tensor x, @Nullable Tensor bias, @Nullable Tensor residual, double p, boolean training) {
    String op = "biasDropoutResidual";
    check(op, x, p);
    Checks.shape(x.rank() >= 1, "[%s] x is a scalar: it needs a row", op);
    List<Tensor> inputs = new ArrayList<>(List.of(x));
    if (bias != null) {
      Operands.check(op, x, "bias", bias);
      Checks.shape(
          bias.rank() == 1 && bias.size(0) == x.size(-1),
          "[%s] bias %s must have one element for each of the %d columns of x %s",
          op,
          bias.shape(),
          x.size(-1),
          x.shape());
      inputs.add(bias);
    }
    if (residual != null) {
      Operands.check(op, x, "residual", residual);
      Checks.shape(
          residual.shape().equals(x.shape()),
          "[%s] residual %s must have the shape of x %s",
          op,
          residual.shape(),
          x.shape());
      inputs.add(residual);
    }
    boolean draws = training && p > 0;
    Generator generator = Generator.current();
    Buffer rng = generator.state(x.backend());
    long stream = draws ? generator.nextStream(x.backend()) : 0;
    return new BiasResidual(rng, stream, draws ? p : 0, bias != null, residual != null)
        .apply(inputs.toArray(new Tensor[0]));
  }

  private static void check(String op, Tensor x, double p) {
    Checks.argument(
        p >= 0 && p <= 1, "[%s] p is %s: a probability is within 0 to 1, such as 0.5", op, p);
    Checks.dtype(
        x.dtype().isFloating(),
        "[%s] x is %s: only floating tensors can be scaled, convert with to(DType.FLOAT32)",
        op,
        x.dtype());
  }

  private static Tensor apply(String op, Tensor x, double p, boolean channels) {
    Generator generator = Generator.current();
    Buffer rng = generator.state(x.backend());
    return new Masked(op, rng, generator.nextStream(x.backend()), p, channels).apply(x);
  }

  /** Inputs: x, then bias and residual, those that there are. */
  private static final class BiasResidual extends Function {
    private final Buffer rng;
    private final long stream;
    private final double p;
    private final int biasAt;
    private final int residualAt;

    BiasResidual(Buffer rng, long stream, double p, boolean hasBias, boolean hasResidual) {
      super("biasDropoutResidual");
      this.rng = rng;
      this.stream = stream;
      this.p = p;
      this.biasAt = hasBias ? 1 : -1;
      this.residualAt = hasResidual ? (hasBias ? 2 : 1) : -1;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor y = Tensor.empty(x.backend(), x.dtype(), x.shape());
      if (x.numel() > 0) {
        x.backend()
            .biasDropoutResidual(
                x.buffer(),
                biasAt < 0 ? null : in[biasAt].contiguous().buffer(),
                residualAt < 0 ? null : in[residualAt].contiguous().buffer(),
                rng,
                y.buffer(),
                x.shape().product(0, x.rank() - 1),
                x.size(-1),
                stream,
                p);
      }
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      @Nullable Tensor[] out = new Tensor[inputCount()];
      Tensor g = grads[0];
      if (g == null) {
        return out;
      }
      if (residualAt > 0) {
        out[residualAt] = g;
      }
      if (!needsGrad(0) && (biasAt < 0 || !needsGrad(biasAt))) {
        return out;
      }
      Tensor dropped = p == 0 ? g : new Masked("dropout", rng, stream, p, false).apply(g);
      out[0] = dropped;
      if (biasAt > 0) {
        out[biasAt] = Reductions.sumTo(dropped, Shape.of(g.size(-1)));
      }
      return out;
    }
  }

  /** Linear in x, so its backward is the same operation with the same draws. */
  private static final class Masked extends Function {
    private final Buffer rng;
    private final long stream;
    private final double p;
    private final boolean channels;

    Masked(String name, Buffer rng, long stream, double p, boolean channels) {
      super(name);
      this.rng = rng;
      this.stream = stream;
      this.p = p;
      this.channels = channels;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor y = Tensor.empty(x.backend(), x.dtype(), x.shape());
      if (x.numel() == 0) {
        return new Tensor[] {y};
      }
      if (channels) {
        x.backend()
            .dropoutChannels(
                x.buffer(),
                rng,
                y.buffer(),
                x.size(0),
                x.shape().product(1, x.rank() - 1),
                x.size(-1),
                stream,
                p);
      } else {
        x.backend().dropout(x.buffer(), rng, y.buffer(), x.numel(), stream, p);
      }
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {
        g == null ? null : new Masked(name(), rng, stream, p, channels).apply(g)
      };
    }
  }
}
