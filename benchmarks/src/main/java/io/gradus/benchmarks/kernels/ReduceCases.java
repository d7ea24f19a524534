package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.CaseMaker.by;

import io.gradus.backend.ReduceOp;
import io.gradus.core.DType;

/** Sums of rows and of columns. */
final class ReduceCases {
  private ReduceCases() {}

  /** Adds both. */
  static void add(CaseMaker to, long rows, long cols) {
    DType dtype = to.dtype();
    long n = rows * cols;
    for (boolean ofRows : new boolean[] {true, false}) {
      long left = ofRows ? rows : cols;
      to.add(
          ofRows ? "sums of rows" : "sums of columns",
          by(rows, cols),
          1.0 * n,
          1.0 * n + left,
          0,
          bench -> {
            var x = bench.normal(dtype, n);
            var y = bench.empty(dtype, left);
            return ofRows
                ? () -> bench.backend().reduce(ReduceOp.SUM, x, y, rows, cols, 1)
                : () -> bench.backend().reduce(ReduceOp.SUM, x, y, 1, rows, cols);
          },
          "sum",
          rows,
          cols,
          ofRows ? 1 : 0);
    }
  }
}
