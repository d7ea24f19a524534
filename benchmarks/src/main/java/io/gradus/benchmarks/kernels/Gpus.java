package io.gradus.benchmarks.kernels;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.benchmarks.report.Statistics;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Limits of GPUs: arithmetic by NVIDIA's data sheets (dense, without sparsity), memory by a copy
 * measured here.
 */
final class Gpus {
  private static final double TERA = 1e12;
  private static final long COPIED = 64L << 20;
  private static final int COPIES = 20;
  private static final int ROUNDS = 7;
  private static final long SETTLING_NS = 1_000_000_000L;

  private static final double MEGA = 1L << 20;

  /** The second cache of a GPU that is not in the list: more than any has so far. */
  private static final long UNKNOWN_CACHE = 128L << 20;

  /**
   * Of a GPU.
   *
   * @param single teraflops of float32 outside tensor cores
   * @param tf32 teraflops of TF32 on them
   * @param half teraflops of bfloat16 on them
   * @param cacheMb megabytes of the second cache
   */
  private record Sheet(double single, double tf32, double half, double cacheMb) {}

  /** By what the driver's name for the device contains; the first that fits counts. */
  private static final Map<String, Sheet> SHEETS = new LinkedHashMap<>();

  static {
    SHEETS.put("A100", new Sheet(19.5, 156, 312, 40));
    SHEETS.put("H100 PCIe", new Sheet(51, 378, 756, 50));
    SHEETS.put("H100", new Sheet(67, 495, 989, 50));
    SHEETS.put("H200", new Sheet(67, 495, 989, 60));
    SHEETS.put("L40S", new Sheet(91.6, 183, 362, 96));
    SHEETS.put("L4", new Sheet(30.3, 60, 121, 48));
    SHEETS.put("A10", new Sheet(31.2, 62.5, 125, 6));
    SHEETS.put("RTX 4090", new Sheet(82.6, 82.6, 165.2, 72));
  }

  private Gpus() {}

  /**
   * The limits of a device.
   *
   * @param description its name, among other words
   */
  static Limits limits(Backend backend, String description) {
    double bytes = copyRate(backend);
    String copied = String.format(Locale.ROOT, "%.0f GB/s in a copy", bytes * 1e-9);
    for (Map.Entry<String, Sheet> sheet : SHEETS.entrySet()) {
      if (description.contains(sheet.getKey())) {
        Sheet peak = sheet.getValue();
        String source =
            String.format(
                Locale.ROOT,
                "data sheet of %s: %.1f TFLOP/s float32, %.0f TF32, %.0f bfloat16; %s",
                sheet.getKey(),
                peak.single(),
                peak.tf32(),
                peak.half(),
                copied);
        return new Limits(
            peak.single() * TERA,
            peak.tf32() * TERA,
            peak.half() * TERA,
            bytes,
            (long) (peak.cacheMb() * MEGA),
            source);
      }
    }
    String source = "no data sheet of " + description + " is known here; " + copied;
    return new Limits(Double.NaN, Double.NaN, Double.NaN, bytes, UNKNOWN_CACHE, source);
  }

  private static double copyRate(Backend backend) {
    try (Workbench bench = new Workbench(backend)) {
      Buffer from = bench.zeros(DType.FLOAT32, COPIED);
      Buffer to = bench.zeros(DType.FLOAT32, COPIED);
      long[] dense = {1};
      long[] shape = {COPIED};
      // The first second lets the clocks settle; the middle of the others counts.
      List<Double> rates = new ArrayList<>();
      for (long first = System.nanoTime(); rates.size() < ROUNDS; ) {
        long began = System.nanoTime();
        for (int i = 0; i < COPIES; i++) {
          backend.copy(from, dense, to, dense, shape);
        }
        backend.synchronize();
        long ended = System.nanoTime();
        if (began - first > SETTLING_NS) {
          rates.add(2.0 * COPIED * Float.BYTES * COPIES / ((ended - began) * 1e-9));
        }
      }
      return Statistics.of(rates).median();
    }
  }
}
