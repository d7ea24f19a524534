package io.gradus.backend;

/**
 * The sizes of attention: queries {@code [batch, heads, queries, dim]}, keys and values {@code
 * [batch, kvHeads, keys, dim]}. Head h reads key head {@code h / (heads / kvHeads)}.
 *
 * @param batch samples
 * @param heads heads of the queries
 * @param kvHeads heads of the keys and values, a divisor of heads
 * @param queries number of queries
 * @param keys number of keys
 * @param dim extent of a query, key or value
 * @param causal whether query i sees the keys {@code j <= i + keys - queries} alone, so that the
 *     last query sees the last key
 */
public record AttentionShape(
    long batch, long heads, long kvHeads, long queries, long keys, long dim, boolean causal) {

  /** Number of the rows [batch, heads, queries]. */
  public long rows() {
    return batch * heads * queries;
  }

  /**
   * How many keys, from the first on, a query sees.
   *
   * @param query number of the query
   * @return 0 to keys
   */
  public long visible(long query) {
    return causal ? Math.max(0, Math.min(keys, query + keys - queries + 1)) : keys;
  }
}
