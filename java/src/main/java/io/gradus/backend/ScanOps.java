package io.gradus.backend;

/** Sums of everything up to an element. */
public interface ScanOps extends Primitives {
  /**
   * The inclusive cumulative sum along the middle axis: {@code y[o, i, c] = sum over j <= i of x[o,
   * j, c]}, or over {@code j >= i} in reverse. 16-bit types sum in FLOAT32 and round once.
   *
   * @param x [outer, n, inner], of any type but BOOL
   * @param y [outer, n, inner], of the same type
   * @param outer product of the extents before the axis
   * @param n extent of the axis
   * @param inner product of the extents after the axis
   * @param reverse whether to sum from the end
   */
  default void cumsum(Buffer x, Buffer y, long outer, long n, long inner, boolean reverse) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer sums = scratch.take(Scratch.accumulator(x.dtype()), x.length());
      cast(x, sums);
      long[] whole = {n * inner, inner, 1};
      // After each round an element holds the sum of twice as many elements.
      for (long distance = 1; distance < n && sums.length() > 0; distance *= 2) {
        long rest = n - distance;
        long length = sums.length() - distance * inner;
        Buffer first = sums.slice(0, length);
        Buffer last = sums.slice(distance * inner, length);
        Buffer target = reverse ? first : last;
        Buffer added = scratch.take(sums.dtype(), outer * rest * inner);
        long[] shape = {outer, rest, inner};
        binary(BinaryOp.ADD, first, whole, last, whole, added, shape);
        copy(added, new long[] {rest * inner, inner, 1}, target, whole, shape);
      }
      cast(sums, y);
    }
  }
}
