package io.gradus.backend;

/**
 * The sizes of an indexed copy along one axis: x is [outer, size, inner], the selected part [outer,
 * count, inner], and element (o, j, i) of it belongs to x[o, index[o so + j sj + i si], i].
 *
 * @param outer product of the extents before the axis
 * @param size extent of the axis in x
 * @param count extent of the axis in the selected part
 * @param inner product of the extents after the axis
 * @param indexOuter so: stride of the index along outer, 0 where it is shared
 * @param indexCount sj: stride of the index along count
 * @param indexInner si: stride of the index along inner, 0 where it is shared
 */
public record IndexShape(
    long outer,
    long size,
    long count,
    long inner,
    long indexOuter,
    long indexCount,
    long indexInner) {

  /** Whole rows are selected by one list of indices. */
  public static IndexShape rows(long outer, long size, long count, long inner) {
    return new IndexShape(outer, size, count, inner, 0, 1, 0);
  }

  /** Every element has its own index. */
  public static IndexShape elements(long outer, long size, long count, long inner) {
    return new IndexShape(outer, size, count, inner, count * inner, inner, 1);
  }
}
