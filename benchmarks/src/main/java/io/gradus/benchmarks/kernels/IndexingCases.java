package io.gradus.benchmarks.kernels;

import io.gradus.core.DType;
import java.util.Locale;

/** Rows that are taken from a table by their numbers. */
final class IndexingCases {
  private IndexingCases() {}

  /** So many rows of a table. */
  static void add(CaseMaker to, int vocabulary, long dim, long count) {
    DType dtype = to.dtype();
    to.add(
        "embedding",
        String.format(Locale.ROOT, "%d of %dx%d", count, vocabulary, dim),
        0,
        2.0 * count * dim,
        2.0 * count,
        bench -> {
          var weight = bench.normal(dtype, vocabulary * dim);
          var index = bench.labels(count, vocabulary);
          var y = bench.empty(dtype, count * dim);
          return () -> bench.backend().embeddingForward(weight, index, y, vocabulary, count, dim);
        },
        "embedding",
        vocabulary,
        dim,
        count);
  }
}
