package io.gradus.tensor;

import io.gradus.backend.AttentionShape;
import io.gradus.backend.Buffer;
import io.gradus.core.Checks;
import org.jspecify.annotations.Nullable;

/** Attention of queries to keys. */
public final class Attention {
  private Attention() {}

  /**
   * Mixes values by the similarity of their keys to a query.
   *
   * <pre>{@code
   * y = dropout(softmax(scale q k^T)) v, the softmax along the keys
   * }</pre>
   *
   * <p>With causal, query i sees the keys {@code j <= i + S - L} alone: aligned at the last query
   * and key. A query that sees no key gives 0. Fewer key heads than query heads are shared by
   * neighbouring query heads (grouped-query attention; one key head is multi-query attention). The
   * mask of dropout comes from this thread's {@link Generator} and is the same on every device.
   *
   * <p>Shapes: {@code q: [N, H, L, D]; k, v: [N, KH, S, D], KH a divisor of H -> y: [N, H, L, D]}
   *
   * <p>Any floating type, the same for all; 16-bit types compute in float32. Differentiable any
   * number of times.
   *
   * <p>Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; grouped heads: Ainslie et
   * al., "GQA", EMNLP 2023.
   *
   * <pre>{@code
   * Tensor y = Attention.scaledDotProductAttention(q, k, v, AttentionOptions.DEFAULT);
   * }</pre>
   *
   * @param q queries
   * @param k keys
   * @param v values
   * @param options whether it is causal, scale, dropout
   * @return y
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.DTypeException when the types differ or are not floating
   * @throws io.gradus.core.DeviceException when the tensors are on different devices
   */
  public static Tensor scaledDotProductAttention(
      Tensor q, Tensor k, Tensor v, AttentionOptions options) {
    try (Scope s = Scope.open()) {
      return s.keep(
          attend(Precision.product(q), Precision.product(k), Precision.product(v), options));
    }
  }

  private static Tensor attend(Tensor q, Tensor k, Tensor v, AttentionOptions options) {
    check(q, k, v);
    AttentionShape shape =
        new AttentionShape(
            q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3), options.causal());
    Double chosen = options.scale();
    double scale = chosen == null ? 1 / Math.sqrt((double) q.size(3)) : chosen;
    @Nullable Buffer rng = null;
    long stream = 0;
    if (options.dropout() > 0) {
      Generator generator = Generator.current();
      rng = generator.state(q.backend());
      stream = generator.nextStream(q.backend());
    }
    return new AttentionFunction(shape, scale, rng, stream, options.dropout()).apply(q, k, v);
  }

  private static void check(Tensor q, Tensor k, Tensor v) {
    String op = "scaledDotProductAttention";
    Checks.dtype(
        q.dtype().isFloating(),
        "[%s] q is %s but must be of a floating type: convert it with to(DType.FLOAT32)",
        op,
        q.dtype());
    checkRank(op, "q", q);
    checkRank(op, "k", k);
    checkRank(op, "v", v);
    Checks.dtype(
        k.dtype() == q.dtype() && v.dtype() == q.dtype(),
        "[%s] q is %s but k is %s and v %s: convert with to(DType)",
        op,
        q.dtype(),
        k.dtype(),
        v.dtype());
    q.sameDevice(op, k);
    q.sameDevice(op, v);
    Checks.shape(
        k.shape().equals(v.shape()),
        "[%s] k and v must have one shape, not %s and %s",
        op,
        k.shape(),
        v.shape());
    Checks.shape(
        q.size(0) == k.size(0) && q.size(3) == k.size(3),
        "[%s] q and k must agree in samples and in the extent of a head (q %s, k %s)",
        op,
        q.shape(),
        k.shape());
    Checks.shape(
        k.size(1) > 0 && q.size(1) % k.size(1) == 0,
        "[%s] %d key heads cannot be shared evenly by %d query heads (q %s, k %s)",
        op,
        k.size(1),
        q.size(1),
        q.shape(),
        k.shape());
  }

  private static void checkRank(String op, String name, Tensor x) {
    Checks.shape(
        x.rank() == 4,
        "[%s] %s %s must be [samples, heads, length, extent of a head]: 4 axes, not %d",
        op,
        name,
        x.shape(),
        x.rank());
  }
}
