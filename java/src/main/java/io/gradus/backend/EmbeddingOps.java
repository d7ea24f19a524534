package io.gradus.backend;

/** Rows of a table by their numbers. */
public interface EmbeddingOps extends Primitives {
  /**
   * y[i] = weight[index[i]].
   *
   * @param weight [vocabulary, dim]
   * @param index INT64 [count], in range
   * @param y [count, dim]
   * @param vocabulary rows of the table
   * @param count rows looked up
   * @param dim columns
   */
  default void embeddingForward(
      Buffer weight, Buffer index, Buffer y, long vocabulary, long count, long dim) {
    gather(IndexShape.rows(1, vocabulary, count, dim), weight, index, y);
  }

  /**
   * gradWeight[v] = sum of gradY[i] over the i with index[i] = v, in rising order of i; 0 for the
   * padding row.
   *
   * @param gradY [count, dim]
   * @param index INT64 [count], in range
   * @param gradWeight [vocabulary, dim]
   * @param vocabulary rows of the table
   * @param count rows looked up
   * @param dim columns
   * @param paddingIndex row without a gradient, or -1 for none
   */
  default void embeddingBackward(
      Buffer gradY,
      Buffer index,
      Buffer gradWeight,
      long vocabulary,
      long count,
      long dim,
      long paddingIndex) {
    fill(gradWeight, 0);
    scatterAdd(IndexShape.rows(1, vocabulary, count, dim), gradY, index, gradWeight);
    if (paddingIndex >= 0) {
      fill(gradWeight.slice(paddingIndex * dim, dim), 0);
    }
  }
}
