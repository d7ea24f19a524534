package io.gradus.benchmarks.libraries;

/**
 * A product of dense row-major matrices, C = op(A) op(B) with C of m rows and n columns, as BLAS
 * computes it, whose matrices are column-major: memory that holds X row by row holds its transpose
 * column by column, so what BLAS computes is the transpose of C, op(B)^T op(A)^T. Its first operand
 * is B, its second is A.
 *
 * @param m rows of BLAS's result
 * @param n columns of it
 * @param k extent summed over
 * @param first how B lies in memory
 * @param second how A lies in memory
 */
public record ColumnMajor(long m, long n, long k, Operand first, Operand second) {
  /**
   * A matrix in memory, column by column without gaps, so that its rows are its leading dimension.
   *
   * @param rows before it is transposed
   * @param columns before it is transposed
   * @param transposed whether the product takes its transpose
   */
  public record Operand(long rows, long columns, boolean transposed) {}

  /** That of row-major matrices: a transposed A is stored [k, m], a transposed B [n, k]. */
  public static ColumnMajor of(long m, long n, long k, boolean transA, boolean transB) {
    return new ColumnMajor(
        n,
        m,
        k,
        transB ? new Operand(k, n, true) : new Operand(n, k, false),
        transA ? new Operand(m, k, true) : new Operand(k, m, false));
  }
}
