package io.gradus.train;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * Where a run keeps its checkpoints.
 *
 * @param folder the folder; null for none
 * @param every least time between checkpoints within an epoch
 * @param resume whether to continue from the newest checkpoint of the folder, if there is one
 */
public record CheckpointOptions(@Nullable Path folder, Duration every, boolean resume) {
  /** No checkpoints. */
  public static final CheckpointOptions NONE =
      new CheckpointOptions(null, Duration.ofSeconds(30), false);

  /** Checkpoints in a folder every 30 s, and a start from the beginning. */
  public static CheckpointOptions in(Path folder) {
    return new CheckpointOptions(folder, NONE.every, false);
  }

  /** These in another folder. */
  public CheckpointOptions withFolder(@Nullable Path value) {
    return new CheckpointOptions(value, every, resume);
  }

  /** These with another time between checkpoints. */
  public CheckpointOptions withEvery(Duration value) {
    return new CheckpointOptions(folder, value, resume);
  }

  /** These with another resume. */
  public CheckpointOptions withResume(boolean value) {
    return new CheckpointOptions(folder, every, value);
  }
}
