package io.gradus.benchmarks.kernels;

import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Adds kernels of one group and one type to a list.
 *
 * @param group the group
 * @param dtype element type
 * @param goal what they should reach
 * @param gradientGoal what those should reach whose name ends with {@link #GRADIENT}
 * @param cases the list
 */
record CaseMaker(String group, DType dtype, Goal goal, Goal gradientGoal, List<KernelCase> cases) {
  /** How the name of a gradient ends. */
  static final String GRADIENT = ", gradient";

  /**
   * Adds a kernel of exact products.
   *
   * @param elements that are read or written, of the list's type
   * @param words of 4 bytes beside them
   * @param peer what another engine does the same by; see {@link KernelCase}
   */
  void add(
      String name,
      String shape,
      double flops,
      double elements,
      double words,
      KernelCase.Setup setup,
      Object... peer) {
    add(
        name,
        shape,
        ProductPrecision.EXACT,
        flops,
        elements * dtype.bytes() + words * Integer.BYTES,
        setup,
        told(peer, dtype.name()));
  }

  /** Adds a kernel of which all is given. */
  void add(
      String name,
      String shape,
      ProductPrecision precision,
      double flops,
      double bytes,
      KernelCase.Setup setup,
      String peer) {
    Goal aim = name.endsWith(GRADIENT) ? gradientGoal : goal;
    cases.add(new KernelCase(group, name, shape, dtype, precision, flops, bytes, setup, aim, peer));
  }

  /** What another engine is told: a name, sizes and the type, with blanks between them. */
  static String told(Object[] words, String type) {
    return Arrays.stream(words).map(String::valueOf).collect(Collectors.joining(" "))
        + " "
        + type.toLowerCase(Locale.ROOT);
  }

  /** Sizes with a cross between them. */
  static String by(long... sizes) {
    return Arrays.stream(sizes).mapToObj(Long::toString).collect(Collectors.joining("x"));
  }
}
