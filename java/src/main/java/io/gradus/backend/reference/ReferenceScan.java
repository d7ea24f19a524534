package io.gradus.backend.reference;

import io.gradus.backend.Buffer;
import io.gradus.backend.ScanOps;
import io.gradus.core.DType;

/** Cumulative sums in one pass; types without a loop of their own take the default body. */
interface ReferenceScan extends ScanOps {
  /** The threads that share the work. */
  Parallel pool();

  @Override
  default void cumsum(Buffer x, Buffer y, long outer, long n, long inner, boolean reverse) {
    if (x.dtype() == DType.FLOAT32 || x.dtype() == DType.FLOAT64 || x.dtype() == DType.INT64) {
      new ScanKernels(x, y, n, inner, reverse).run(pool(), outer);
    } else {
      ScanOps.super.cumsum(x, y, outer, n, inner, reverse);
    }
  }
}
