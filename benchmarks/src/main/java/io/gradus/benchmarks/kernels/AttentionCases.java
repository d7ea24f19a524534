package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.CaseMaker.by;

import io.gradus.backend.AttentionShape;
import io.gradus.core.DType;

/** Attention and its gradient. */
final class AttentionCases {
  private static final DType F32 = DType.FLOAT32;

  private AttentionCases() {}

  /** Products with q k^T and with the values; a causal mask needs half of them. */
  static void add(CaseMaker to, long batch, long heads, long length, long dim, boolean causal) {
    DType dtype = to.dtype();
    AttentionShape shape = new AttentionShape(batch, heads, heads, length, length, dim, causal);
    long n = batch * heads * length * dim;
    double flops = 4.0 * n * length * (causal ? 0.5 : 1);
    String sizes = by(batch, heads, length, dim);
    String name = causal ? "causal attention" : "attention";
    double scale = 1 / Math.sqrt((double) dim);
    to.add(
        name,
        sizes,
        flops,
        4.0 * n,
        1.0 * shape.rows(),
        bench -> {
          var q = bench.normal(dtype, n);
          var k = bench.normal(dtype, n);
          var v = bench.normal(dtype, n);
          var out = bench.empty(dtype, n);
          var logSum = bench.empty(F32, shape.rows());
          return () ->
              bench.backend().attentionForward(q, k, v, null, out, logSum, shape, scale, 0, 0);
        },
        "attention",
        batch,
        heads,
        length,
        dim,
        causal);
    to.add(
        name + CaseMaker.GRADIENT,
        sizes,
        2.5 * flops,
        8.0 * n,
        1.0 * shape.rows(),
        bench -> {
          var q = bench.normal(dtype, n);
          var k = bench.normal(dtype, n);
          var v = bench.normal(dtype, n);
          var g = bench.normal(dtype, n);
          var out = bench.empty(dtype, n);
          var logSum = bench.empty(F32, shape.rows());
          var gradQ = bench.empty(dtype, n);
          var gradK = bench.empty(dtype, n);
          var gradV = bench.empty(dtype, n);
          var backend = bench.backend();
          backend.attentionForward(q, k, v, null, out, logSum, shape, scale, 0, 0);
          return () ->
              backend.attentionBackward(
                  g, q, k, v, out, logSum, null, gradQ, gradK, gradV, shape, scale, 0, 0);
        },
        "attention_gradient",
        batch,
        heads,
        length,
        dim,
        causal);
  }
}
