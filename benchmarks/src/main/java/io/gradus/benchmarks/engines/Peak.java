package io.gradus.benchmarks.engines;

/**
 * What a processor can do at most.
 *
 * @param flops float32 operations a second; not a number where unknown
 * @param bytes bytes a second between it and its memory; not a number where unknown
 * @param source how that was measured, or why it was not
 */
public record Peak(double flops, double bytes, String source) {}
