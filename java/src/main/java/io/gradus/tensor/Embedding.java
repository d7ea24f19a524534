package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/** Vectors for discrete symbols. */
public final class Embedding {
  private static final long NO_PADDING = -1;

  private Embedding() {}

  /** Without a padding row: see {@link #embedding(Tensor, Tensor, long)}. */
  public static Tensor embedding(Tensor weight, Tensor index) {
    return lookUp(weight, index, NO_PADDING);
  }

  /**
   * Looks up rows of a table.
   *
   * <pre>{@code
   * y[.., :] = weight[index[..], :]
   * }</pre>
   *
   * <p>Shapes: weight: [V, D], index: integers of any shape [..] -> y: [.., D]. The gradient of a
   * row is the sum over its occurrences, in their order. Differentiable any number of times with
   * respect to the weight.
   *
   * <p>Source: Bengio et al., "A neural probabilistic language model", JMLR 2003.
   *
   * <pre>{@code
   * Tensor vectors = Embedding.embedding(table, tokens, 0);   // token 0 fills up short sentences
   * }</pre>
   *
   * @param paddingIndex row that gets no gradient; negative rows count from the last
   * @throws io.gradus.core.ArgumentException when an index or the padding index is out of range
   * @throws io.gradus.core.ShapeException when the weight is not a matrix
   * @throws io.gradus.core.DTypeException when the index is not of an integer type or the weight
   *     not of a floating one
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor embedding(Tensor weight, Tensor index, long paddingIndex) {
    checkTable(weight);
    long rows = weight.size(0);
    long padding = paddingIndex < 0 ? paddingIndex + rows : paddingIndex;
    Checks.argument(
        padding >= 0 && padding < rows,
        "[embedding] padding index %d is out of range: the table has %d rows (weight %s)",
        paddingIndex,
        rows,
        weight.shape());
    return lookUp(weight, index, padding);
  }

  private static void checkTable(Tensor weight) {
    Checks.shape(
        weight.rank() == 2,
        "[embedding] weight %s must be [vocabulary, dim]: 2 axes, not %d",
        weight.shape(),
        weight.rank());
    Checks.dtype(
        weight.dtype().isFloating(),
        "[embedding] weight is %s but must be of a floating type",
        weight.dtype());
  }

  private static Tensor lookUp(Tensor weight, Tensor index, long padding) {
    checkTable(weight);
    weight.sameDevice("embedding", index);
    try (Scope s = Scope.open()) {
      Tensor rows = Indexing.checked("embedding", index, weight.size(0));
      return s.keep(new LookUp(rows, weight.shape(), padding).apply(weight));
    }
  }

  private static final class LookUp extends Function {
    private final Tensor index;
    private final Shape table;
    private final long padding;

    LookUp(Tensor index, Shape table, long padding) {
      super("embedding");
      this.index = index;
      this.table = table;
      this.padding = padding;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor weight = in[0].contiguous();
      long dim = table.dim(1);
      Tensor y =
          Tensor.empty(weight.backend(), weight.dtype(), index.shape().insert(index.rank(), dim));
      weight
          .backend()
          .embeddingForward(
              weight.buffer(), index.buffer(), y.buffer(), table.dim(0), index.numel(), dim);
      save(index);
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null || GradMode.isEnabled()) {
        return new @Nullable Tensor[] {
          g == null ? null : new Collect(saved(0), table, padding).apply(g)
        };
      }
      Tensor gradWeight = emptyGradient(0, g.backend(), g.dtype(), table);
      collect(g, saved(0), gradWeight, padding);
      return new Tensor[] {gradWeight};
    }
  }

  private static void collect(Tensor gradY, Tensor index, Tensor gradWeight, long padding) {
    gradY
        .backend()
        .embeddingBackward(
            gradY.contiguous().buffer(),
            index.buffer(),
            gradWeight.buffer(),
            gradWeight.size(0),
            index.numel(),
            gradWeight.size(1),
            padding);
  }

  /** The gradient of the table. */
  private static final class Collect extends Function {
    private final Tensor index;
    private final Shape table;
    private final long padding;

    Collect(Tensor index, Shape table, long padding) {
      super("embeddingBackward");
      this.index = index;
      this.table = table;
      this.padding = padding;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor gradWeight = Tensor.empty(in[0].backend(), in[0].dtype(), table);
      collect(in[0], index, gradWeight, padding);
      save(index);
      return new Tensor[] {gradWeight};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[1];
      }
      return new Tensor[] {new LookUp(saved(0), table, padding).apply(withoutPadding(g))};
    }

    /** The padding row took nothing from its occurrences, so nothing flows back to them. */
    private Tensor withoutPadding(Tensor g) {
      if (padding == NO_PADDING) {
        return g;
      }
      boolean[] isPadding = new boolean[Math.toIntExact(table.dim(0))];
      isPadding[(int) padding] = true;
      return g.maskedFill(Tensor.of(isPadding, table.dim(0), 1).to(g.device()), 0);
    }
  }
}
