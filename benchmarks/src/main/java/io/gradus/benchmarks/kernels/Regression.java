package io.gradus.benchmarks.kernels;

import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import io.gradus.benchmarks.report.Table;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NoSuchElementException;

/**
 * What kernels took on a device in an earlier run, kept beside the sources, and what has become
 * slower since.
 */
final class Regression {
  private static final String MICROS = "microseconds";

  private Regression() {}

  /** The table of a run. */
  static Table table(List<KernelResult> results) {
    Table table = new Table("device", "group", "kernel", "sizes", "type", MICROS);
    for (KernelResult result : results) {
      KernelCase kernel = result.kernel();
      if (result.measured()) {
        table.add(
            List.of(
                result.device(),
                kernel.group(),
                kernel.name(),
                kernel.shape(),
                kernel.type(),
                String.format(Locale.ROOT, "%.3f", result.micros())));
      }
    }
    return table;
  }

  /**
   * A line for each kernel that was measured in both runs and now takes longer.
   *
   * @param file the table of the earlier run
   * @param percent how much longer a kernel may take
   * @throws IOException also when the file is no such table
   */
  static List<String> slower(Path file, List<KernelResult> results, double percent)
      throws IOException {
    Map<String, Double> before = read(file);
    List<String> lines = new ArrayList<>();
    for (KernelResult result : results) {
      Double micros = before.get(result.device() + "|" + result.kernel().key());
      if (micros != null && result.measured() && result.micros() > micros * (1 + percent / 100)) {
        lines.add(
            String.format(
                Locale.ROOT,
                "SLOWER by %.0f%%: %s, %s %s %s: %.1f us, before %.1f us",
                100 * (result.micros() / micros - 1),
                result.device(),
                result.kernel().name(),
                result.kernel().shape(),
                result.kernel().type(),
                result.micros(),
                micros));
      }
    }
    return lines;
  }

  /** Microseconds by device and kernel. */
  static Map<String, Double> read(Path file) throws IOException {
    Map<String, Double> micros = new HashMap<>();
    try (CsvReader<NamedCsvRecord> rows = CsvReader.builder().ofNamedCsvRecord(file)) {
      for (NamedCsvRecord row : rows) {
        micros.put(
            String.join(
                "|",
                row.getField("device"),
                row.getField("group"),
                row.getField("kernel"),
                row.getField("sizes"),
                row.getField("type")),
            Double.valueOf(row.getField(MICROS)));
      }
    } catch (CsvParseException | NoSuchElementException | NumberFormatException e) {
      throw new IOException(file + " is no table of kernels: " + e.getMessage(), e);
    }
    return micros;
  }
}
