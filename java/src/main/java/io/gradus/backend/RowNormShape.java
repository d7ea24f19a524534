package io.gradus.backend;

/**
 * The sizes and options of a normalisation by row.
 *
 * @param rows rows
 * @param cols columns, at least 1
 * @param eps added to the variance, or to the mean square
 */
public record RowNormShape(long rows, long cols, double eps) {}
