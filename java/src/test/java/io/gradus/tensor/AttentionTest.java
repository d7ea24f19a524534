package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.backend.DropoutMask;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Scaled dot-product attention against one query at a time. */
class AttentionTest extends OpTestCase {
  private static final String OP =
      "Attention.scaledDotProductAttention(Tensor,Tensor,Tensor,AttentionOptions)";

  /** Samples, heads, key heads, queries, keys, extent of a head. */
  private static final int[][] SIZES = {
    {1, 1, 1, 1, 1, 1},
    {2, 2, 2, 3, 3, 4},
    {1, 4, 2, 5, 3, 2},
    {2, 3, 1, 2, 6, 3},
    {1, 2, 1, 70, 66, 8},
    {3, 1, 1, 4, 1, 5},
    {0, 2, 1, 3, 3, 4},
    {2, 2, 1, 0, 3, 4},
    {1, 2, 2, 3, 0, 4},
    {1, 1, 1, 17, 130, 16},
    {1, 2, 1, 3, 5, 64}, // what Hopper kernels take
  };

  private static Nd naive(AttentionOptions o, Nd q, Nd k, Nd v) {
    long group = q.dim(1) / k.dim(1);
    double[] weights = new double[(int) k.dim(2)];
    return Nd.generate(
        q.dims(),
        at -> {
          if (at[3] == 0) {
            weigh(o, q, k, at, weights);
          }
          double y = 0;
          for (int j = 0; j < weights.length; j++) {
            y += weights[j] * v.at(at[0], at[1] / group, j, at[3]);
          }
          return y;
        });
  }

  /** What a query takes of every value. */
  private static void weigh(AttentionOptions o, Nd q, Nd k, long[] at, double[] weights) {
    long group = q.dim(1) / k.dim(1);
    Double chosen = o.scale();
    double scale = chosen == null ? 1 / Math.sqrt((double) q.dim(3)) : chosen;
    int keys = weights.length;
    long row = (at[0] * q.dim(1) + at[1]) * q.dim(2) + at[2];
    int threshold = (int) Math.rint(o.dropout() * 65536);
    for (int j = 0; j < keys; j++) {
      double dot = 0;
      for (long d = 0; d < q.dim(3); d++) {
        dot += q.at(at[0], at[1], at[2], d) * k.at(at[0], at[1] / group, j, d);
      }
      weights[j] = o.causal() && j > at[2] + keys - q.dim(2) ? 0 : Math.exp(scale * dot);
    }
    double sum = Arrays.stream(weights).sum();
    for (int j = 0; j < keys; j++) {
      boolean kept = weights[j] > 0 && DropoutMask.keeps(SEED, 0, row * keys + j, threshold);
      weights[j] = kept ? weights[j] / sum / (1 - o.dropout()) : 0;
    }
  }

  private static OpSpec spec(AttentionOptions options) {
    OpSpec spec =
        OpSpec.op(OP)
            .variant(options)
            .apply(in -> Attention.scaledDotProductAttention(in[0], in[1], in[2], options))
            .gives(in -> naive(options, in[0], in[1], in[2]))
            .terms(in -> in[0].dim(3) * in[1].dim(2));
    if (options.dropout() > 0) {
      spec.random();
    }
    for (int[] s : SIZES) {
      spec.on(
          Operand.x(s[0], s[1], s[3], s[5]),
          Operand.x(s[0], s[2], s[4], s[5]),
          Operand.x(s[0], s[2], s[4], s[5]));
    }
    Operand x = Operand.x(2, 2, 3, 4);
    return spec.on(x.transposed(), x.sliced(), x.transposed())
        .on(x.expanded(), x.constant(), x)
        .on(x.constant(), x, x.constant());
  }

  @Override
  protected List<OpSpec> specs() {
    AttentionOptions plain = AttentionOptions.DEFAULT;
    Tensor x = Tensor.ones(2, 4, 3, 8);
    return List.of(
        spec(plain)
            .refuses(
                ShapeException.class,
                "[scaledDotProductAttention] q [4, 3, 8] must be",
                () -> Attention.scaledDotProductAttention(Tensor.ones(4, 3, 8), x, x, plain))
            .refuses(
                ShapeException.class,
                "k and v must have one shape",
                () -> Attention.scaledDotProductAttention(x, x, Tensor.ones(2, 4, 4, 8), plain))
            .refuses(
                ShapeException.class,
                "q and k must agree",
                () -> {
                  Tensor other = Tensor.ones(2, 4, 3, 7);
                  Attention.scaledDotProductAttention(x, other, other, plain);
                })
            .refuses(
                ShapeException.class,
                "3 key heads cannot be shared evenly by 4 query heads",
                () -> {
                  Tensor other = Tensor.ones(2, 3, 3, 8);
                  Attention.scaledDotProductAttention(x, other, other, plain);
                })
            .refuses(
                DTypeException.class,
                "q is FLOAT32 but k is FLOAT64",
                () -> Attention.scaledDotProductAttention(x, x.to(DType.FLOAT64), x, plain))
            .refuses(
                DTypeException.class,
                "q is INT64",
                () -> Attention.scaledDotProductAttention(x.to(DType.INT64), x, x, plain))
            .refuses(
                ArgumentException.class, "[attention] dropout is 2.0", () -> plain.withDropout(2))
            .refuses(
                ArgumentException.class,
                "[attention] scale NaN",
                () -> plain.withScale(Double.NaN)),
        spec(plain.withCausal(true)),
        spec(plain.withScale(-0.3)),
        spec(plain.withDropout(0.4)),
        spec(plain.withCausal(true).withDropout(0.25)));
  }

  @Test
  void largeProductsDoNotOverflow() {
    for (DType dtype : List.of(DType.FLOAT32, DType.FLOAT64)) {
      Tensor q = Tensor.of(new double[] {200, -300}, 1, 1, 2, 1).to(dtype);
      Tensor k = Tensor.of(new double[] {100, 90, -100}, 1, 1, 3, 1).to(dtype);
      Tensor v = Tensor.of(new double[] {1, 2, 3}, 1, 1, 3, 1).to(dtype).requiresGrad(true);
      Tensor y = Attention.scaledDotProductAttention(q, k, v, AttentionOptions.DEFAULT);
      assertArrayEquals(new double[] {1, 3}, y.toDoubles());
      y.sum().backward();
      Tensor gradient = v.grad();
      assertArrayEquals(
          new double[] {1, 0, 1}, gradient == null ? new double[0] : gradient.toDoubles());
    }
  }

  @Test
  void aQueryWithoutAKeyGivesZeroAndTakesNoGradient() {
    Tensor q = Tensor.randn(1, 1, 3, 2).requiresGrad(true);
    Tensor k = Tensor.randn(1, 1, 1, 2).requiresGrad(true);
    Tensor v = Tensor.of(new float[] {5, 7}, 1, 1, 1, 2).requiresGrad(true);
    Tensor y =
        Attention.scaledDotProductAttention(q, k, v, AttentionOptions.DEFAULT.withCausal(true));
    assertArrayEquals(new float[] {0, 0, 0, 0, 5, 7}, y.toFloats());
    Tensor[] gradients = Autograd.grad(y.sum(), q, k, v);
    assertArrayEquals(new float[6], gradients[0].toFloats());
    assertArrayEquals(new float[2], gradients[1].toFloats());
    assertArrayEquals(new float[] {1, 1}, gradients[2].toFloats());
  }

  @Test
  void nothingIsDrawnWithoutDropout() {
    Generator generator = Generator.seed(3);
    Tensor x = Tensor.ones(1, 1, 2, 2);
    Attention.scaledDotProductAttention(x, x, x, AttentionOptions.DEFAULT);
    assertEquals(0, generator.offset());
    Attention.scaledDotProductAttention(x, x, x, AttentionOptions.DEFAULT.withDropout(0.1));
    assertEquals(1, generator.offset());
  }
}
