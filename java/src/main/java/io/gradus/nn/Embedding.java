package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A table of vectors, looked up by index.
 *
 * <p>Shapes: {@code x: integers [..] -> y: [.., size]}; weight [count, size], standard normal at
 * first. Source: Bengio et al., JMLR 3, 2003.
 */
public final class Embedding extends Module {
  private final Tensor weight;
  private final @Nullable Long padding;

  /** A table of {@code count} vectors of {@code size} elements. */
  public Embedding(long count, long size) {
    this(count, size, null);
  }

  /** A table in which one vector, for padding, is zero and gets no gradient. */
  public static Embedding withPadding(long count, long size, long paddingIndex) {
    Checks.argument(
        0 <= paddingIndex && paddingIndex < count,
        "[embedding] padding index %d is not in a table of %d",
        paddingIndex,
        count);
    return new Embedding(count, size, paddingIndex);
  }

  private Embedding(long count, long size, @Nullable Long padding) {
    Checks.argument(
        count > 0 && size > 0, "[embedding] %d vectors of %d must be positive", count, size);
    this.padding = padding;
    weight = registerParameter("weight", Initializers.normal(Tensor.zeros(count, size), 0, 1));
    if (padding != null) {
      try (GradMode.Guard g = GradMode.noGrad();
          Tensor row = weight.slice(0, padding, padding + 1)) {
        row.fill(0);
      }
    }
  }

  /** The table [count, size]. */
  public Tensor weight() {
    return weight;
  }

  @Override
  public Tensor forward(Tensor x) {
    return padding == null
        ? io.gradus.tensor.Embedding.embedding(weight, x)
        : io.gradus.tensor.Embedding.embedding(weight, x, padding);
  }

  @Override
  protected String describe() {
    return "Embedding("
        + weight.size(0)
        + ", "
        + weight.size(1)
        + (padding == null ? ")" : ", padding=" + padding + ")");
  }
}
