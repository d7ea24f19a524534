package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.nn.Dropout;
import io.gradus.nn.Embedding;
import io.gradus.nn.GELU;
import io.gradus.nn.Initializers;
import io.gradus.nn.LayerNorm;
import io.gradus.nn.Linear;
import io.gradus.nn.Module;
import io.gradus.nn.MultiHeadAttention;
import io.gradus.nn.Sequential;
import io.gradus.tensor.Tensor;

/**
 * The transformer of {@link CharGpt}, with a norm before each attention and hidden layer and a head
 * of its own.
 *
 * <p>Shapes: tokens {@code [N, L]}, INT64, to logits {@code [N, L, V]}.
 *
 * <p>Source: Radford et al., "Language models are unsupervised multitask learners", 2019.
 */
public final class CharGptNetwork extends Module {
  private static final double DEVIATION = 0.02;

  private final Embedding tokens;
  private final Tensor positions;
  private final Dropout dropout;
  private final Sequential blocks = registerModule("blocks", new Sequential());
  private final LayerNorm norm;
  private final Linear head;
  private final int context;
  private final int heads;

  /**
   * With fresh weights: normal with deviation 0.02, that of what is added to the stream divided by
   * the root of twice the layers.
   *
   * @param vocabulary number V of tokens that there are
   * @param context the most places L of a text
   * @param layers blocks of attention and hidden layer
   * @param heads heads of the attention
   * @param width extent of the stream, a multiple of the heads
   * @param drop probability of a zero in training
   */
  public CharGptNetwork(
      int vocabulary, int context, int layers, int heads, int width, double drop) {
    this.context = context;
    this.heads = heads;
    tokens = registerModule("tokens", new Embedding(vocabulary, width));
    positions = registerParameter("positions", Tensor.zeros(context, width));
    dropout = registerModule("dropout", new Dropout(drop));
    for (int i = 0; i < layers; i++) {
      blocks.add(new Block(heads, width, drop));
    }
    norm = registerModule("norm", new LayerNorm(width));
    head = registerModule("head", new Linear(width, vocabulary, false));
    Initializers.normal(tokens.weight(), 0, DEVIATION);
    Initializers.normal(positions, 0, DEVIATION);
    // What is added to the stream counts less, the more there are who add.
    double scaled = DEVIATION / Math.sqrt(2.0 * layers);
    namedParameters()
        .forEach(
            (name, parameter) -> {
              if (name.endsWith("out_proj.weight") || name.endsWith("down.weight")) {
                Initializers.normal(parameter, 0, scaled);
              } else if (parameter.rank() == 2 && name.startsWith("blocks")) {
                Initializers.normal(parameter, 0, DEVIATION);
              }
            });
    Initializers.normal(head.weight(), 0, DEVIATION);
  }

  /** Attention and a hidden layer, each normalised before and added to the stream. */
  private static final class Block extends Module {
    private final LayerNorm first;
    private final MultiHeadAttention attention;
    private final LayerNorm second;
    private final Linear up;
    private final GELU gelu = registerModule("gelu", new GELU());
    private final Linear down;
    private final Dropout dropout;

    Block(int heads, int width, double drop) {
      first = registerModule("first", new LayerNorm(width));
      attention =
          registerModule(
              "attention",
              new MultiHeadAttention(width, heads, new MultiHeadAttention.Options(0, true, drop)));
      second = registerModule("second", new LayerNorm(width));
      up = registerModule("up", new Linear(width, 4L * width));
      down = registerModule("down", new Linear(4L * width, width));
      dropout = registerModule("dropout", new Dropout(drop));
    }

    @Override
    public Tensor forward(Tensor x) {
      Tensor attended = x.add(dropout.call(attention.call(first.call(x))));
      Tensor hidden = gelu.call(up.call(second.call(attended)));
      return attended.add(dropout.call(down.call(hidden)));
    }
  }

  /** How many numbers are looked back on. */
  int context() {
    return context;
  }

  /** Heads of the attention. */
  int heads() {
    return heads;
  }

  @Override
  public Tensor forward(Tensor x) {
    Checks.shape(
        x.rank() == 2 && x.size(1) <= context,
        "[char-gpt] tokens %s must be [N, L] with L up to %d",
        x.shape(),
        context);
    Tensor places = positions.slice(0, 0, x.size(1));
    Tensor stream = dropout.call(tokens.call(x).add(places));
    return head.call(norm.call(blocks.call(stream)));
  }
}
