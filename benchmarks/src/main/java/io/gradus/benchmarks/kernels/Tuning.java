package io.gradus.benchmarks.kernels;

import io.gradus.benchmarks.report.Table;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Which tiles of the Hopper product are the fastest for each size, and the table of them that the
 * native build takes ({@code native/src/kernels/matmul_hopper_tuned.inc}).
 */
final class Tuning {
  /**
   * A choice that can be forced.
   *
   * @param tile of kHopperTiles, from 1
   * @param cluster blocks of a cluster
   * @param splits parts of the summed extent
   */
  record Choice(int tile, int cluster, int splits) {
    /** As the environment variable has it. */
    String text() {
      return tile + "," + cluster + "," + splits;
    }

    /** As a folder may be called. */
    String label() {
      return text().replace(',', '-');
    }
  }

  /** Of kHopperTiles: how many blocks a cluster may have; the last two are for other operands. */
  private static final int[] CLUSTERS = {2, 2, 1, 2, 1};

  private static final int FIRST_PREPARING = 4;
  private static final int[] SPLITS = {1, 2, 4};
  private static final String MATMUL = "matmul";

  /** Microseconds of the plan's own choice, by a kernel's key. */
  private final Map<String, Double> planned;

  private final Map<Choice, Map<String, Double>> measured = new LinkedHashMap<>();

  Tuning(Map<String, Double> planned) {
    this.planned = planned;
  }

  /** All that are tried. */
  static List<Choice> choices() {
    List<Choice> choices = new ArrayList<>();
    for (int tile = 1; tile <= CLUSTERS.length; tile++) {
      for (int cluster = 1; cluster <= CLUSTERS[tile - 1]; cluster++) {
        for (int splits : SPLITS) {
          choices.add(new Choice(tile, cluster, splits));
        }
      }
    }
    return choices;
  }

  /** Adds what was measured with a choice: microseconds by a kernel's key. */
  void add(Choice choice, Map<String, Double> micros) {
    measured.put(choice, micros);
  }

  /** A product that the table may name, read from what its peer is told. */
  private record Product(
      String kind, boolean transA, boolean transB, String m, String n, String k) {
    boolean takes(Choice choice) {
      boolean prepares = kind.equals("tf32x3") || (kind.equals("tf32") && (transA || !transB));
      return prepares == choice.tile() >= FIRST_PREPARING;
    }
  }

  private static Product product(KernelCase kernel) {
    String[] words = kernel.peer().split(" ", -1);
    String kind = kernel.dtype().isHalf() ? "tensor" : kernel.type();
    return new Product(
        kind, words[1].charAt(0) == 'T', words[1].charAt(1) == 'T', words[2], words[3], words[4]);
  }

  /**
   * The lines of the table: products for which a choice was faster than the plan's own.
   *
   * @param kernels what was measured
   * @param percent by how much it must be faster
   * @param about receives a line for each product that could be tuned
   */
  List<String> lines(List<KernelCase> kernels, double percent, Table about) {
    List<String> lines = new ArrayList<>();
    for (KernelCase kernel : kernels) {
      Double before = planned.get(kernel.key());
      if (before == null || !kernel.peer().startsWith(MATMUL) || kernel.type().equals("float32")) {
        continue;
      }
      Product product = product(kernel);
      Choice best = null;
      double least = before;
      for (Map.Entry<Choice, Map<String, Double>> entry : measured.entrySet()) {
        double micros = entry.getValue().getOrDefault(kernel.key(), Double.POSITIVE_INFINITY);
        if (product.takes(entry.getKey()) && micros < least) {
          least = micros;
          best = entry.getKey();
        }
      }
      boolean better = best != null && least < before * (1 - percent / 100);
      about.add(
          List.of(
              kernel.name() + " " + kernel.shape() + " " + kernel.type(),
              String.format(Locale.ROOT, "%.1f us", before),
              String.format(Locale.ROOT, "%.1f us", least),
              best == null ? "the plan's own" : best.text(),
              better ? "taken" : ""));
      if (best != null && better) {
        lines.add(
            String.format(
                Locale.ROOT,
                "TUNED(%s, %s, %s, %s, %s, %s, %d, %d, %d)",
                product.kind(),
                product.transA(),
                product.transB(),
                product.m(),
                product.n(),
                product.k(),
                best.tile() - 1,
                best.cluster(),
                best.splits()));
      }
    }
    return lines;
  }
}
