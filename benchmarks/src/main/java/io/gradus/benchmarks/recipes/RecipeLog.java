package io.gradus.benchmarks.recipes;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * The runs so far, written one by one, so that a contest that is stopped goes on where it was: a
 * line for each with engine, seed, seconds and accuracy.
 */
final class RecipeLog {
  private static final String TAB = "\t";
  private static final String END = ".";

  private final Path file;
  private final List<Run> runs = new ArrayList<>();

  /** A run of an engine. */
  record Run(String engine, int seed, Racer.Outcome outcome) {}

  /**
   * Opens or begins a log.
   *
   * @param resume whether runs that are there count; they are thrown away otherwise
   */
  RecipeLog(Path file, boolean resume) throws IOException {
    this.file = file;
    Files.createDirectories(file.toAbsolutePath().getParent());
    if (!resume) {
      Files.deleteIfExists(file);
    } else if (Files.exists(file)) {
      for (String line : Files.readAllLines(file)) {
        read(line);
      }
    }
  }

  private void read(String line) {
    String[] row = line.split(TAB, -1);
    // A line that was being written when the contest ended is no run.
    if (row.length == 5 && row[4].equals(END)) {
      Racer.Outcome outcome =
          new Racer.Outcome(Double.parseDouble(row[2]), Double.parseDouble(row[3]));
      runs.add(new Run(row[0], Integer.parseInt(row[1]), outcome));
    }
  }

  /** Whether a run is there. */
  boolean has(String engine, int seed) {
    return runs.stream().anyMatch(run -> run.engine.equals(engine) && run.seed == seed);
  }

  /** Adds a run. */
  void add(String engine, int seed, Racer.Outcome outcome) throws IOException {
    runs.add(new Run(engine, seed, outcome));
    String line =
        String.join(
            TAB,
            engine,
            Integer.toString(seed),
            Double.toString(outcome.seconds()),
            Double.toString(outcome.accuracy()),
            END);
    // The line before may have been cut off.
    Files.writeString(
        file, "\n" + line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }

  /** All runs, in the order in which they were added. */
  List<Run> runs() {
    return List.copyOf(runs);
  }

  /** The outcomes of an engine. */
  List<Racer.Outcome> of(String engine) {
    return runs.stream()
        .filter(run -> Objects.equals(run.engine, engine))
        .map(Run::outcome)
        .toList();
  }
}
