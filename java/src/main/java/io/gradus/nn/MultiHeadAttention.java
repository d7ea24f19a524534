package io.gradus.nn;

import io.gradus.core.Checks;
import io.gradus.tensor.Attention;
import io.gradus.tensor.AttentionOptions;
import io.gradus.tensor.Tensor;
import java.util.Objects;

/**
 * Self-attention with several heads: one projection to queries, keys and values, attention in every
 * head, and a projection of all heads' results.
 *
 * <p>Shapes: {@code x: [N, L, E]}, y alike. With D = E / heads, in_proj_weight is [E + 2 kvHeads D,
 * E] with the rows of all queries, then keys, then values; out_proj is {@link Linear} of E to E.
 * Names, order and first values are PyTorch's. Source: Vaswani et al., NeurIPS 2017; shared key
 * heads: Ainslie et al., EMNLP 2023.
 *
 * <pre>{@code
 * Module decoder = new MultiHeadAttention(512, 8, new MultiHeadAttention.Options(2, true, 0.1));
 * }</pre>
 */
public final class MultiHeadAttention extends Module {
  /**
   * What may differ from plain attention.
   *
   * @param kvHeads heads of keys and values, a divisor of the heads; 0 for as many as heads
   * @param causal whether a place sees the places up to itself alone
   * @param dropout probability with which a weight becomes 0 in training
   */
  public record Options(long kvHeads, boolean causal, double dropout) {
    /** As many key heads as heads, not causal, no dropout. */
    public static final Options DEFAULT = new Options(0, false, 0);

    /** Checks the ranges. */
    public Options {
      Checks.argument(
          kvHeads >= 0, "[multiHeadAttention] %d key heads cannot be negative", kvHeads);
      Checks.argument(
          0 <= dropout && dropout <= 1,
          "[multiHeadAttention] dropout %s must be in [0, 1]",
          dropout);
    }
  }

  private final Tensor weight;
  private final Tensor bias;
  private final Linear output;
  private final long features;
  private final long heads;
  private final long kvHeads;
  private final Options options;

  /** With {@link Options#DEFAULT}. */
  public MultiHeadAttention(long features, long heads) {
    this(features, heads, Options.DEFAULT);
  }

  /**
   * With options.
   *
   * @param features extent E of the last axis
   * @param heads number of heads, a divisor of the features
   * @param options key heads, causal, dropout
   * @throws io.gradus.core.ArgumentException when a number is not positive, the heads do not divide
   *     the features or the key heads do not divide the heads
   */
  public MultiHeadAttention(long features, long heads, Options options) {
    Checks.argument(
        features > 0 && heads > 0 && features % heads == 0,
        "[multiHeadAttention] %d heads do not divide %d features",
        heads,
        features);
    long shared = options.kvHeads() == 0 ? heads : options.kvHeads();
    Checks.argument(
        heads % shared == 0,
        "[multiHeadAttention] %d key heads cannot be shared evenly by %d heads",
        shared,
        heads);
    this.features = features;
    this.heads = heads;
    this.kvHeads = shared;
    this.options = options;
    long rows = features + 2 * kvHeads * (features / heads);
    weight =
        registerParameter(
            "in_proj_weight", Initializers.xavierUniform(Tensor.zeros(rows, features), 1));
    bias = registerParameter("in_proj_bias", Tensor.zeros(rows));
    output = registerModule("out_proj", new Linear(features, features));
    Initializers.zeros(Objects.requireNonNull(output.bias()));
  }

  @Override
  public Tensor forward(Tensor x) {
    Checks.shape(
        x.rank() == 3 && x.size(2) == features,
        "[multiHeadAttention] x %s must be [N, L, %d]",
        x.shape(),
        features);
    Tensor projected = io.gradus.tensor.Linear.linear(x, weight, bias);
    long ofKeys = kvHeads * (features / heads);
    Tensor y =
        Attention.scaledDotProductAttention(
            split(projected, 0, features, heads),
            split(projected, features, ofKeys, kvHeads),
            split(projected, features + ofKeys, ofKeys, kvHeads),
            AttentionOptions.DEFAULT
                .withCausal(options.causal())
                .withDropout(isTraining() ? options.dropout() : 0));
    return output.call(y.transpose(1, 2).reshape(x.shape().dims()));
  }

  /** Some columns as heads: [N, L, count] to [N, heads, L, D]. */
  private static Tensor split(Tensor projected, long from, long count, long heads) {
    return projected
        .slice(-1, from, from + count)
        .reshape(projected.size(0), projected.size(1), heads, count / heads)
        .transpose(1, 2);
  }

  @Override
  protected String describe() {
    StringBuilder text = new StringBuilder("MultiHeadAttention(");
    text.append(features).append(", heads=").append(heads);
    if (kvHeads != heads) {
      text.append(", kvHeads=").append(kvHeads);
    }
    if (options.causal()) {
      text.append(", causal");
    }
    if (options.dropout() > 0) {
      text.append(", dropout=").append(options.dropout());
    }
    return text.append(')').toString();
  }
}
