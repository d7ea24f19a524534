package io.gradus.benchmarks.libraries;

/** How calls of a kernel are timed on a GPU, so that all engines are timed alike. */
public final class Rotation {
  /** Calls of a launch: so many that the gaps between launches do not count. */
  public static final int RECORDED = 24;

  private static final int MOST_SETS = 64;

  private Rotation() {}

  /** How many sets of operands are three times the cache; 1 where there is none to go beyond. */
  public static int sets(double bytesOfASet, long cacheBytes) {
    return (int) Math.max(1, Math.min(MOST_SETS, Math.ceil(3 * cacheBytes / bytesOfASet)));
  }
}
