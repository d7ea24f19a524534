package io.gradus.tensor;

import io.gradus.backend.Buffer;
import io.gradus.core.Checks;
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
    return new Masked(op, rng, generator.nextStream(), p, channels).apply(x);
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
