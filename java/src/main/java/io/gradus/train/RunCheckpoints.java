package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.io.Checkpoint;
import io.gradus.io.CheckpointData;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Scope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.Consumer;

/** The checkpoints of a run: who it is, the generator, and what the run itself puts there. */
final class RunCheckpoints {
  private final CheckpointOptions options;
  private final String identity;
  private long last = System.nanoTime();

  /**
   * Checkpoints.
   *
   * @param identity what the run is: a checkpoint of another one is refused
   */
  RunCheckpoints(CheckpointOptions options, String identity) {
    this.options = options;
    this.identity = identity;
  }

  /**
   * Starts the clock and hands over the newest checkpoint, where there is one.
   *
   * @param state takes the run's own part, while the checkpoint is open
   * @param note is told about damaged checkpoints
   * @return whether there was a checkpoint
   * @throws IOException when it cannot be read
   * @throws io.gradus.core.ArgumentException when there is one and the run is not to resume, or it
   *     is of another run
   */
  boolean restore(Consumer<CheckpointData> state, Consumer<String> note) throws IOException {
    last = System.nanoTime();
    Path folder = options.folder();
    if (folder == null || !Checkpoint.exists(folder)) {
      return false;
    }
    // Going on writing would delete the other run's checkpoints, oldest first.
    Checks.argument(
        options.resume(),
        "[train] %s holds the checkpoints of a run: continue it with resume(true), or choose"
            + " another folder",
        folder);
    Checkpoint.Loaded loaded = Checkpoint.load(folder);
    loaded.skipped().forEach(note);
    try (CheckpointData data = loaded.data()) {
      String saved = data.getString("identity");
      Checks.argument(
          saved.equals(identity),
          "[resume] the checkpoint in %s is of another run (%s, not %s): repeat the options it was"
              + " started with, or choose another folder",
          folder,
          saved,
          identity);
      state.accept(data);
      Generator.use(
          new Generator(data.getLong("generator.seed"), data.getLong("generator.offset")));
    }
    return true;
  }

  /** Whether it is time for one within the epoch. */
  boolean isDue() {
    return System.nanoTime() - last > options.every().toNanos();
  }

  /**
   * Writes one.
   *
   * @param state adds the run's own part
   * @throws IOException when it cannot be written
   */
  void save(Consumer<CheckpointData> state) throws IOException {
    last = System.nanoTime();
    Path folder = options.folder();
    if (folder == null) {
      return;
    }
    // The states are handles on live tensors: the scope closes the handles.
    try (Scope s = Scope.open()) {
      CheckpointData data =
          new CheckpointData()
              .putString("identity", identity)
              .putLong("generator.seed", Generator.current().seed())
              .putLong("generator.offset", Generator.current().offset());
      state.accept(data);
      Checkpoint.save(folder, data);
    }
  }
}
