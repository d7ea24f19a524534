package io.gradus.tensor;

import io.gradus.core.Checks;
import org.jspecify.annotations.Nullable;

/** Softmax and its logarithm. */
public final class Softmax {
  private Softmax() {}

  /**
   * Exponentials normalised to sum 1 along an axis.
   *
   * <p>{@code y = exp(x - max) / sum(exp(x - max))}; no exponential overflows. Where every element
   * of a line is minus infinity, as in a line that is masked out, y is 0 rather than NaN.
   *
   * <p>Shapes: {@code x: [..] -> y: [..]}
   *
   * <p>Source: Bridle, "Probabilistic interpretation of feedforward classification network
   * outputs", 1990.
   *
   * <pre>{@code
   * Tensor probabilities = Softmax.softmax(logits, -1);
   * }</pre>
   *
   * @param x floating
   * @param axis axis along which the sum is 1; negative axes count from the last
   * @return y
   * @throws io.gradus.core.DTypeException when x is not floating
   * @throws io.gradus.core.ShapeException when the axis is out of range
   */
  public static Tensor softmax(Tensor x, int axis) {
    return apply("softmax", x, axis, false);
  }

  /**
   * The logarithm of {@link #softmax}, exact where that is 0 or 1.
   *
   * <p>{@code y = x - max - log(sum(exp(x - max)))}. Where every element of a line is minus
   * infinity, y is minus infinity.
   *
   * <p>Shapes: {@code x: [..] -> y: [..]}
   *
   * <p>Source: Blanchard, Higham, Higham, "Accurately computing the log-sum-exp and softmax
   * functions", IMA J. Numer. Anal. 41, 2021.
   *
   * <pre>{@code
   * Tensor logProbabilities = Softmax.logSoftmax(logits, -1);
   * }</pre>
   *
   * @param x floating
   * @param axis axis along which the probabilities sum to 1; negative axes count from the last
   * @return y
   * @throws io.gradus.core.DTypeException when x is not floating
   * @throws io.gradus.core.ShapeException when the axis is out of range
   */
  public static Tensor logSoftmax(Tensor x, int axis) {
    return apply("logSoftmax", x, axis, true);
  }

  private static Tensor apply(String op, Tensor x, int axis, boolean log) {
    Checks.dtype(
        x.dtype().isFloating(),
        "[%s] needs a floating type, not %s: convert with to(DType.FLOAT32)",
        op,
        x.dtype());
    return new Normalised(op, x.shape().axis(axis, op), log).apply(Precision.wide(x));
  }

  private static final class Normalised extends Function {
    private final int axis;
    private final boolean log;

    Normalised(String name, int axis, boolean log) {
      super(name);
      this.axis = axis;
      this.log = log;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor y = Tensor.empty(x.backend(), x.dtype(), x.shape());
      if (x.numel() > 0) {
        long outer = outer(x);
        long inner = inner(x);
        if (log) {
          x.backend().logSoftmaxForward(x.buffer(), y.buffer(), outer, x.size(axis), inner);
        } else {
          x.backend().softmaxForward(x.buffer(), y.buffer(), outer, x.size(axis), inner);
        }
      }
      save(y);
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[1];
      }
      Tensor y = saved(0);
      if (GradMode.isEnabled()) {
        return new Tensor[] {
          log ? g.sub(y.exp().mul(g.sum(true, axis))) : y.mul(g.sub(g.mul(y).sum(true, axis)))
        };
      }
      Tensor dense = g.contiguous();
      Tensor gradX = Tensor.empty(y.backend(), y.dtype(), y.shape());
      if (y.numel() > 0) {
        long outer = outer(y);
        long n = y.size(axis);
        long inner = inner(y);
        if (log) {
          y.backend()
              .logSoftmaxBackward(dense.buffer(), y.buffer(), gradX.buffer(), outer, n, inner);
        } else {
          y.backend().softmaxBackward(dense.buffer(), y.buffer(), gradX.buffer(), outer, n, inner);
        }
      }
      return new Tensor[] {gradX};
    }

    private long outer(Tensor t) {
      return t.shape().product(0, axis);
    }

    private long inner(Tensor t) {
      return t.shape().product(axis + 1, t.rank());
    }
  }
}
