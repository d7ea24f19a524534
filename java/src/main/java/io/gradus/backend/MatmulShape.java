package io.gradus.backend;

/**
 * The sizes of a batch of matrix products C = op(A) op(B) of dense row-major matrices.
 *
 * @param batch number of products
 * @param m rows of C
 * @param n columns of C
 * @param k extent summed over
 * @param transA whether A is stored [k, m] rather than [m, k]
 * @param transB whether B is stored [n, k] rather than [k, n]
 * @param strideA elements from one A to the next; 0 shares it
 * @param strideB elements from one B to the next; 0 shares it
 * @param accumulate whether the product is added to C rather than stored
 */
public record MatmulShape(
    long batch,
    long m,
    long n,
    long k,
    boolean transA,
    boolean transB,
    long strideA,
    long strideB,
    boolean accumulate) {

  /** One product. */
  public static MatmulShape of(long m, long n, long k, boolean transA, boolean transB) {
    return new MatmulShape(1, m, n, k, transA, transB, 0, 0, false);
  }

  /** The same product, added to C. */
  public MatmulShape accumulating() {
    return new MatmulShape(batch, m, n, k, transA, transB, strideA, strideB, true);
  }
}
