package io.gradus.benchmarks.engines;

import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import io.gradus.backend.Profile;
import io.gradus.backend.Profiler;
import io.gradus.benchmarks.report.Table;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * Where the time of training steps goes, from the least disturbed of some rounds. Times are seconds
 * of all steps.
 *
 * @param steps how many
 * @param plain what as many steps take without a profiler, in the fastest round
 * @param seconds what they took under it
 * @param outside of that outside of operations
 * @param overhead of that in the profiler
 * @param entries the operations
 */
record StepProfile(
    int steps,
    double plain,
    double seconds,
    double outside,
    double overhead,
    List<Profile.Entry> entries) {
  private static final int FEWEST = 3;
  private static final int MOST = 1000;

  /** What stands in the column of the phase for times that are no operation's. */
  private static final String WHOLE = "";

  /**
   * Profiles a training that was opened and has its weights.
   *
   * @param warmUpS seconds to train before
   * @param roundS what the steps of a round should take
   */
  static StepProfile measure(Training training, double warmUpS, double roundS, int rounds) {
    long began = System.nanoTime();
    double once;
    int done = 0;
    do {
      training.train(1);
      done++;
      once = seconds(began) / done;
    } while (once * done < warmUpS);
    int steps = (int) Math.max(FEWEST, Math.min(MOST, Math.ceil(roundS / once)));
    try (Profiler warmUp = Profiler.start()) {
      training.train(steps);
    }
    double plain = Double.POSITIVE_INFINITY;
    @Nullable Profile least = null;
    for (int i = 0; i < rounds; i++) {
      long start = System.nanoTime();
      training.train(steps);
      plain = Math.min(plain, seconds(start));
      try (Profiler profiler = Profiler.start()) {
        training.train(steps);
        Profile profile = profiler.stop();
        least = least == null || profile.seconds() < least.seconds() ? profile : least;
      }
    }
    if (least == null) {
      throw new IllegalArgumentException("no rounds");
    }
    return new StepProfile(
        steps, plain, least.seconds(), least.outside(), least.overhead(), least.entries());
  }

  private static double seconds(long began) {
    return (System.nanoTime() - began) * 1e-9;
  }

  /** Writes it for the process that asked. */
  void write(Path file) throws IOException {
    Table table =
        new Table(
            "phase", "operation", "types", "sizes", "calls", "total", "self", "flops", "bytes");
    whole(table, "plain", plain);
    whole(table, "profiled", seconds);
    whole(table, "outside", outside);
    whole(table, "profiler", overhead);
    for (Profile.Entry e : entries) {
      table.add(
          List.of(
              e.phase().name(),
              e.operation(),
              e.types(),
              e.sizes(),
              Long.toString(e.calls()),
              Double.toString(e.total()),
              Double.toString(e.self()),
              Double.toString(e.flops()),
              Double.toString(e.bytes())));
    }
    Files.writeString(file, table.csv());
  }

  private void whole(Table table, String what, double time) {
    String text = Double.toString(time);
    table.add(List.of(WHOLE, what, "", "", Integer.toString(steps), text, text, "0", "0"));
  }

  /** Reads what {@link #write} wrote. */
  static StepProfile read(Path file) throws IOException {
    List<Profile.Entry> entries = new ArrayList<>();
    List<Double> wholes = new ArrayList<>();
    int steps = 0;
    try (CsvReader<NamedCsvRecord> rows = CsvReader.builder().ofNamedCsvRecord(file)) {
      for (NamedCsvRecord row : rows) {
        if (row.getField("phase").equals(WHOLE)) {
          steps = Integer.parseInt(row.getField("calls"));
          wholes.add(number(row, "total"));
        } else {
          entries.add(entry(row, wholes.get(1)));
        }
      }
      return new StepProfile(
          steps, wholes.get(0), wholes.get(1), wholes.get(2), wholes.get(3), entries);
    } catch (CsvParseException | NoSuchElementException | IndexOutOfBoundsException e) {
      throw new IOException(file + " is no profile: " + e.getMessage(), e);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " is no profile: " + e.getMessage(), e);
    }
  }

  private static Profile.Entry entry(NamedCsvRecord row, double whole) {
    double self = number(row, "self");
    return new Profile.Entry(
        Profiler.Phase.valueOf(row.getField("phase")),
        row.getField("operation"),
        row.getField("types"),
        row.getField("sizes"),
        Long.parseLong(row.getField("calls")),
        number(row, "total"),
        self,
        self / whole,
        number(row, "flops"),
        number(row, "bytes"));
  }

  private static double number(NamedCsvRecord row, String column) {
    return Double.parseDouble(row.getField(column));
  }
}
