package io.gradus.train;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The folder of a run: {@code metrics.csv}, {@code curves.png}, {@code model.safetensors}, or
 * {@code weights.safetensors} of a recipe, and {@code checkpoint/}; of a profiled run also {@code
 * profile.txt} and {@code profile.json}.
 *
 * @param path the folder; made by {@link #create} or when something is written
 */
public record RunFolder(Path path) implements TrainingListener {
  private static final String METRICS = "metrics.csv";
  private static final String CURVES = "curves.png";
  private static final String MODEL = "model.safetensors";
  private static final String WEIGHTS = "weights.safetensors";
  private static final String CHECKPOINTS = "checkpoint";

  /**
   * A folder for a run that was given none: {@code parent/name}, or with a number behind it where
   * that is taken. To resume, the last one that is there.
   *
   * @throws IOException when the parent cannot be read
   */
  public static RunFolder underRuns(Path parent, String name, boolean resume) throws IOException {
    RunFolder last = new RunFolder(parent.resolve(name));
    for (int i = 2; !last.isFree(); i++) {
      RunFolder next = new RunFolder(parent.resolve(name + "-" + i));
      if (resume && next.isFree()) {
        return last;
      }
      last = next;
    }
    return last;
  }

  /** Whether no run has written here. */
  public boolean isFree() {
    return !Files.exists(path.resolve(METRICS))
        && !Files.exists(model())
        && !Files.exists(weights())
        && !Files.exists(checkpoints());
  }

  /**
   * Makes the folder, so that a run whose results could not be kept fails before it trains.
   *
   * @throws IOException when it cannot be made or written to
   */
  public void create() throws IOException {
    Files.createDirectories(path);
    if (!Files.isWritable(path)) {
      throw new AccessDeniedException(path.toString());
    }
  }

  /** The model's file. */
  public Path model() {
    return path.resolve(MODEL);
  }

  /** The weights' file of a recipe. */
  public Path weights() {
    return path.resolve(WEIGHTS);
  }

  /** The checkpoints' folder. */
  public Path checkpoints() {
    return path.resolve(CHECKPOINTS);
  }

  @Override
  public void epochEnded(History history, int epochs) throws IOException {
    writeHistory(history);
  }

  /**
   * Writes the table and the chart of the epochs so far.
   *
   * @throws IOException when a file cannot be written; older ones stay then
   */
  public void writeHistory(History history) throws IOException {
    Files.createDirectories(path);
    history.writeCsv(path.resolve(METRICS));
    Curves.write(path.resolve(CURVES), history);
  }
}
