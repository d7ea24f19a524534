package io.gradus.benchmarks.kernels;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import java.util.LinkedHashMap;
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

  /** Teraflops of float32 outside tensor cores, and of bfloat16 on them. */
  private record Sheet(double single, double half) {}

  /** By what the driver's name for the device contains; the first that fits counts. */
  private static final Map<String, Sheet> SHEETS = new LinkedHashMap<>();

  static {
    SHEETS.put("A100", new Sheet(19.5, 312));
    SHEETS.put("H100 PCIe", new Sheet(51, 756));
    SHEETS.put("H100", new Sheet(67, 989));
    SHEETS.put("H200", new Sheet(67, 989));
    SHEETS.put("L40S", new Sheet(91.6, 362));
    SHEETS.put("L4", new Sheet(30.3, 121));
    SHEETS.put("A10", new Sheet(31.2, 125));
    SHEETS.put("RTX 4090", new Sheet(82.6, 165.2));
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
                "data sheet of %s: %.1f TFLOP/s float32, %.0f bfloat16; %s",
                sheet.getKey(),
                peak.single(),
                peak.half(),
                copied);
        return new Limits(peak.single() * TERA, peak.half() * TERA, bytes, source);
      }
    }
    String source = "no data sheet of " + description + " is known here; " + copied;
    return new Limits(Double.NaN, Double.NaN, bytes, source);
  }

  private static double copyRate(Backend backend) {
    try (Workbench bench = new Workbench(backend)) {
      Buffer from = bench.zeros(DType.FLOAT32, COPIED);
      Buffer to = bench.zeros(DType.FLOAT32, COPIED);
      long[] dense = {1};
      long[] shape = {COPIED};
      backend.copy(from, dense, to, dense, shape);
      backend.synchronize();
      long began = System.nanoTime();
      for (int i = 0; i < COPIES; i++) {
        backend.copy(from, dense, to, dense, shape);
      }
      backend.synchronize();
      return 2.0 * COPIED * Float.BYTES * COPIES / ((System.nanoTime() - began) * 1e-9);
    }
  }
}
