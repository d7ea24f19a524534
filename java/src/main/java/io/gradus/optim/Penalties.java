package io.gradus.optim;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.List;
import java.util.function.UnaryOperator;

/** Terms that are added to a loss to keep weights small. */
public final class Penalties {
  private Penalties() {}

  /**
   * lambda times the sum of absolute values; drives weights to exactly 0.
   *
   * <p>Shapes: any, result []. Source: Tibshirani, JRSS B 58, 1996.
   *
   * <pre>{@code
   * loss = loss.add(Penalties.l1(model.parameters(), 1e-5));
   * }</pre>
   *
   * @throws ArgumentException when there is no parameter or lambda is negative
   */
  public static Tensor l1(List<Tensor> params, double lambda) {
    return sum(params, lambda, Tensor::abs);
  }

  /**
   * lambda times the sum of squares. Its gradient is 2 lambda w: with plain gradient descent it
   * does what {@code weightDecay = 2 lambda} does; texts with lambda / 2 have weightDecay = lambda.
   *
   * <p>Shapes: any, result []. Source: Krogh, Hertz, NIPS 1991.
   *
   * @throws ArgumentException when there is no parameter or lambda is negative
   */
  public static Tensor l2(List<Tensor> params, double lambda) {
    return sum(params, lambda, Tensor::square);
  }

  private static Tensor sum(List<Tensor> params, double lambda, UnaryOperator<Tensor> element) {
    Checks.argument(!params.isEmpty(), "[penalty] the list of parameters is empty");
    Checks.argument(lambda >= 0, "[penalty] lambda %s must be >= 0", lambda);
    try (Scope s = Scope.open()) {
      Tensor[] terms = new Tensor[params.size()];
      for (int i = 0; i < terms.length; i++) {
        terms[i] = element.apply(params.get(i)).sum();
      }
      return s.keep(Tensor.stack(0, terms).sum().mul(lambda));
    }
  }
}
