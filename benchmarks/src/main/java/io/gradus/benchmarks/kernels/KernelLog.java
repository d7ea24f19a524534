package io.gradus.benchmarks.kernels;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The results so far, written one by one, so that a run that is stopped goes on where it was: a
 * line for each kernel with the seconds of every engine.
 */
final class KernelLog {
  private static final String OURS = "gradus";
  private static final int COLUMNS = 4;
  private static final String TAB = "\t";

  private final Path file;
  private final Map<String, String[]> known = new HashMap<>();

  /**
   * Opens or begins a log.
   *
   * @param resume whether results that are there count; they are thrown away otherwise
   */
  KernelLog(Path file, boolean resume) throws IOException {
    this.file = file;
    Files.createDirectories(file.toAbsolutePath().getParent());
    if (!resume) {
      Files.deleteIfExists(file);
    } else if (Files.exists(file)) {
      read();
    }
  }

  private void read() throws IOException {
    for (String line : Files.readAllLines(file)) {
      String[] row = line.split(TAB, -1);
      // A line that was being written when the run ended is no result.
      if (row.length == COLUMNS && row[COLUMNS - 1].endsWith(";")) {
        known.put(row[0] + TAB + row[1], row);
      }
    }
  }

  /** The result of a kernel, if there is one. */
  @Nullable KernelResult find(String device, KernelCase kernel, Limits limits) {
    String[] row = known.get(device + TAB + kernel.key());
    if (row == null) {
      return null;
    }
    Map<String, List<Double>> all = new LinkedHashMap<>();
    for (String engine : row[COLUMNS - 1].split(";", -1)) {
      int equals = engine.indexOf('=');
      if (equals > 0) {
        all.put(engine.substring(0, equals), numbers(engine.substring(equals + 1)));
      }
    }
    List<Double> ours = all.getOrDefault(OURS, List.of());
    all.remove(OURS);
    return new KernelResult(device, kernel, limits, ours, all, row[2]);
  }

  private static List<Double> numbers(String text) {
    return Arrays.stream(text.split(" ", -1)).map(Double::parseDouble).toList();
  }

  /** Adds a result. */
  void add(KernelResult result) throws IOException {
    List<String> engines = new ArrayList<>();
    if (result.measured()) {
      engines.add(OURS + "=" + text(result.seconds()));
    }
    result.peers().forEach((name, seconds) -> engines.add(name + "=" + text(seconds)));
    String line =
        String.join(
            TAB,
            result.device(),
            result.kernel().key(),
            result.problem().replace(TAB, " "),
            String.join(";", engines) + ";");
    // The line before may have been cut off.
    Files.writeString(
        file, "\n" + line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }

  private static String text(List<Double> seconds) {
    return seconds.stream().map(s -> Double.toString(s)).collect(Collectors.joining(" "));
  }
}
