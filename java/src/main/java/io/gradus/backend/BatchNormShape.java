package io.gradus.backend;

/**
 * The sizes and options of a batch normalisation.
 *
 * @param rows values per channel
 * @param channels columns
 * @param training whether the statistics are those of the batch
 * @param momentum weight of this batch in the moving averages
 * @param eps added to the variance
 * @param activation applied last
 */
public record BatchNormShape(
    long rows,
    long channels,
    boolean training,
    double momentum,
    double eps,
    Activation activation) {}
