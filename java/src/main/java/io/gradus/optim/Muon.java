package io.gradus.optim;

import io.gradus.core.Checks;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Momentum whose direction is orthogonalised: every matrix of weights moves alike along all of its
 * singular vectors, those of rare directions included.
 *
 * <pre>{@code
 * b = momentum b + g
 * d = nesterov ? g + momentum b : b
 * w = w (1 - lr weightDecay) - lr sqrt(max(1, rows / columns)) orthogonal(d)
 * }</pre>
 *
 * <p>A weight of more than two axes, such as that of a convolution {@code [out, kh, kw, in]}, is
 * the matrix {@code [out, rest]}. orthogonal(d) sets the singular values of d to about 1, by steps
 * of Newton and Schulz with a polynomial that rises steeply at 0:
 *
 * <pre>{@code
 * x = d / |d|, then several times   a = x x^T;  x = 3.4445 x + (-4.7750 a + 2.0315 a^2) x
 * }</pre>
 *
 * <p>Five of them bring all but the smallest singular values to between 0.7 and 1.2. The length of
 * the gradient does not matter.
 *
 * <p>Vectors have no singular values, and embeddings and the layer of the logits fare better
 * without: give these to {@link #addAdamW} or {@link #addSgd}.
 *
 * <p>Source: Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein, "Muon: An optimizer for hidden
 * layers in neural networks", kellerjordan.github.io/posts/muon, 2024.
 *
 * <pre>{@code
 * Muon optimizer = new Muon(matrices, Muon.Options.of(0.02));
 * optimizer.addAdamW(others, AdamOptions.of(3e-4));
 * }</pre>
 */
public final class Muon extends Optimizer {
  private static final double LINEAR = 3.4445;
  private static final double CUBIC = -4.7750;
  private static final double QUINTIC = 2.0315;

  /** Added to the norm, which may be 0. */
  private static final double EPS = 1e-7;

  /**
   * Settings of a group of matrices.
   *
   * @param lr learning rate
   * @param momentum weight of the past steps, below 1
   * @param nesterov whether to look ahead along the momentum
   * @param weightDecay weight decay, decoupled from the gradient
   * @param iterations of Newton and Schulz
   * @param precision type of their products; {@link Precision#BF16} is enough
   */
  public record Options(
      double lr,
      double momentum,
      boolean nesterov,
      double weightDecay,
      int iterations,
      Precision precision) {
    /** Checks the ranges. */
    public Options {
      ParameterGroup.checkLr(lr);
      Checks.argument(
          0 <= momentum && momentum < 1, "[muon] momentum %s must be in [0, 1)", momentum);
      Checks.argument(weightDecay >= 0, "[muon] weightDecay %s must be >= 0", weightDecay);
      Checks.argument(iterations >= 1, "[muon] iterations %d must be at least 1", iterations);
    }

    /**
     * The defaults at a learning rate: momentum 0.95, nesterov true, weightDecay 0, iterations 5,
     * precision FLOAT32.
     */
    public static Options of(double lr) {
      return new Options(lr, 0.95, true, 0, 5, Precision.FLOAT32);
    }

    /** These settings with another momentum. */
    public Options withMomentum(double value) {
      return new Options(lr, value, nesterov, weightDecay, iterations, precision);
    }

    /** These settings with another nesterov. */
    public Options withNesterov(boolean value) {
      return new Options(lr, momentum, value, weightDecay, iterations, precision);
    }

    /** These settings with another weightDecay. */
    public Options withWeightDecay(double value) {
      return new Options(lr, momentum, nesterov, value, iterations, precision);
    }

    /** These settings with another number of iterations. */
    public Options withIterations(int value) {
      return new Options(lr, momentum, nesterov, weightDecay, value, precision);
    }

    /** These settings with products of another type. */
    public Options withPrecision(Precision value) {
      return new Options(lr, momentum, nesterov, weightDecay, iterations, value);
    }
  }

  /** An optimizer of one group of matrices with the default settings. */
  public Muon(List<Tensor> matrices, double lr) {
    this(matrices, Options.of(lr));
  }

  /**
   * An optimizer of one group of matrices.
   *
   * @throws io.gradus.core.ShapeException when a parameter has less than two axes
   */
  public Muon(List<Tensor> matrices, Options options) {
    add(matrices, options);
  }

  /**
   * Adds a group of matrices with settings of its own.
   *
   * @return the group
   * @throws io.gradus.core.ShapeException when a parameter has less than two axes
   */
  public ParameterGroup add(List<Tensor> matrices, Options options) {
    for (int i = 0; i < matrices.size(); i++) {
      Checks.shape(
          matrices.get(i).rank() >= 2,
          "[muon] parameter %d %s is no matrix: give it to addAdamW or addSgd",
          i,
          matrices.get(i).shape());
    }
    SkippableRule rule =
        (param, grad, lr, step, state, foundInf) ->
            update(param, grad, lr, state[0], options, foundInf);
    return addSingly(matrices, options.lr, rule, List.of("momentum_buffer"));
  }

  /**
   * Adds a group that is updated as by {@link AdamW}.
   *
   * @return the group
   */
  public ParameterGroup addAdamW(List<Tensor> params, AdamOptions options) {
    return addGroup(params, options.lr(), AdamW.rule(options), AdamW.STATES);
  }

  /**
   * Adds a group that is updated as by {@link SGD}.
   *
   * @return the group
   */
  public ParameterGroup addSgd(List<Tensor> params, SGD.Options options) {
    return addGroup(params, options.lr(), SGD.rule(options), SGD.states(options));
  }

  private static void update(
      Tensor param,
      Tensor grad,
      Tensor lr,
      Tensor velocity,
      Options options,
      @Nullable Tensor foundInf) {
    Tensor skip = foundInf == null ? null : foundInf.ne(0);
    Tensor next = velocity.mul(options.momentum).add(grad);
    Tensor direction = options.nesterov ? grad.add(next.mul(options.momentum)) : next;
    long rows = param.size(0);
    long columns = param.numel() / Math.max(1, rows);
    Tensor matrix = direction.reshape(rows, columns);
    Tensor way;
    try (Precision.Guard g = options.precision.use()) {
      way = orthogonal(matrix, options.iterations).to(param.dtype());
    }
    // The rate is a number on the device, so what follows from it is computed there.
    Tensor kept =
        options.weightDecay == 0
            ? param
            : param.mul(lr.mul(-options.weightDecay).add(1).to(param.dtype()));
    double scale = Math.sqrt(Math.max(1, rows / (double) Math.max(1, columns)));
    Tensor rate = lr.mul(scale).to(param.dtype());
    set(velocity, next, skip);
    set(param, kept.sub(way.mul(rate).reshape(param.shape().dims())), skip);
  }

  private static void set(Tensor target, Tensor value, @Nullable Tensor skip) {
    target.copyFrom(skip == null ? value : Tensor.where(skip, target, value));
  }

  /** About U V^T of the singular value decomposition U S V^T of a matrix [rows, columns]. */
  static Tensor orthogonal(Tensor matrix, int iterations) {
    Tensor inverse = Updates.sumOfSquares(matrix).sqrt().add(EPS).reciprocal();
    Tensor x = matrix.mul(inverse.to(matrix.dtype()));
    boolean wide = matrix.size(0) <= matrix.size(1);
    for (int i = 0; i < iterations; i++) {
      // Of x x^T and x^T x the smaller one; both give the same polynomial of x.
      Tensor a = wide ? x.matmul(x.transpose(0, 1)) : x.transpose(0, 1).matmul(x);
      Tensor b = a.mul(CUBIC).add(a.matmul(a).mul(QUINTIC));
      x = x.mul(LINEAR).add(wide ? b.matmul(x) : x.matmul(b));
    }
    return x;
  }
}
