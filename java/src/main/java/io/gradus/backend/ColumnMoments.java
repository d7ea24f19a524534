package io.gradus.backend;

/** Mean and biased variance of every column of a matrix, [cols]: two passes, never E[x^2]. */
record ColumnMoments(Buffer mean, Buffer variance) {
  /** Of x [rows, cols], in m's type. */
  static ColumnMoments of(Rows m, Buffer x, long rows) {
    Buffer mean = m.vector(BinaryOp.DIV, m.sumOfColumns(x), (double) rows);
    Buffer distance = m.apply(BinaryOp.SUB, x, mean, m.row);
    Buffer squares = m.sumOfColumns(m.apply(BinaryOp.MUL, distance, distance, m.full));
    return new ColumnMoments(mean, m.vector(BinaryOp.DIV, squares, (double) rows));
  }
}
