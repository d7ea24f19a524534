package io.gradus.benchmarks.engines;

/**
 * What a processor can do at most.
 *
 * @param flops float32 operations a second; not a number where unknown
 * @param bytes bytes a second between it and its memory; not a number where unknown
 * @param source how that was measured, or why it was not
 */
public record Peak(double flops, double bytes, String source) {
  /**
   * The greater rates of two measurements: others work on a machine, too, and then it does less.
   */
  Peak best(Peak later) {
    return new Peak(
        Math.max(flops, later.flops),
        Math.max(bytes, later.bytes),
        source + " before, " + later.source + " after");
  }
}
