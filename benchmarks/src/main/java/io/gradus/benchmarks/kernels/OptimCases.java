package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.CaseMaker.by;

import io.gradus.backend.AdamScalars;
import io.gradus.core.DType;

/** A step of an optimizer, whose moments are float32. */
final class OptimCases {
  private static final DType F32 = DType.FLOAT32;

  private OptimCases() {}

  /** Of so many parameters. */
  static void adamW(CaseMaker to, long n) {
    DType dtype = to.dtype();
    var scalars = new AdamScalars(0.9, 0.999, 1e-8, 0.01, true);
    to.add(
        "AdamW",
        by(n),
        14.0 * n,
        7.0 * n,
        0,
        bench -> {
          var grad = bench.normal(dtype, n);
          var param = bench.normal(dtype, n);
          var mean = bench.zeros(F32, n);
          var variance = bench.zeros(F32, n);
          var lr = bench.doubles(1e-3);
          var step = bench.longs(1);
          return () ->
              bench.backend().adam(grad, param, mean, variance, lr, step, n, scalars, null);
        },
        "adamw",
        n);
  }
}
