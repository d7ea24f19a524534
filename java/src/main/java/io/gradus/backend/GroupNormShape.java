package io.gradus.backend;

/**
 * The sizes and options of a normalisation by sample and group of channels.
 *
 * @param samples first extent
 * @param positions extent between, at least 1
 * @param channels last extent, at least 1
 * @param groups a divisor of channels
 * @param eps added to the (biased) variance
 */
public record GroupNormShape(
    long samples, long positions, long channels, long groups, double eps) {}
