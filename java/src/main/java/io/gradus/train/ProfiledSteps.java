package io.gradus.train;

import io.gradus.backend.Profile;
import io.gradus.backend.Profiler;
import io.gradus.core.Checks;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Profiles some steps of a training run, after some to warm up, which run under a profiler too. The
 * profiled steps are of one epoch: where it ends sooner, there are fewer. While a profiler runs
 * captured steps run eagerly; their results are the same. After the epoch {@code profile.txt} holds
 * the table, and {@code profile.json} the trace for {@code chrome://tracing} or Perfetto.
 *
 * <p>It is a listener of a {@link Trainer} or a recipe; closing ends a profile that is under way.
 */
public final class ProfiledSteps implements TrainingListener, AutoCloseable {
  private static final String TABLE = "profile.txt";
  private static final String TRACE = "profile.json";

  private final Path folder;
  private final int warmUp;
  private final int most;
  private @Nullable Profiler profiler;
  private @Nullable Profile profile;
  private int done;
  private int batches;
  private boolean written;

  /**
   * For one run.
   *
   * @param folder where the files go; it is there
   * @param warmUp steps before
   * @param steps steps to profile, at least 1
   */
  public ProfiledSteps(Path folder, int warmUp, int steps) {
    Checks.argument(warmUp >= 0, "[profile] %d steps to warm up: give 0 or more", warmUp);
    Checks.argument(steps >= 1, "[profile] %d steps: give at least 1", steps);
    this.folder = folder;
    this.warmUp = warmUp;
    this.most = steps;
  }

  /** The steps that were profiled; null while there are none. */
  public @Nullable Profile profile() {
    return profile;
  }

  @Override
  public void epochStarted(int epoch, int epochs, int batchesOfEpoch, int doneBefore) {
    batches = batchesOfEpoch;
    if (profile == null && profiler == null && doneBefore < batchesOfEpoch) {
      profiler = Profiler.start();
    }
  }

  @Override
  public void batchTrained(int batch, double meanLoss, double accuracy) {
    Profiler running = profiler;
    if (running == null) {
      return;
    }
    done++;
    boolean last = batch == batches;
    if (done > warmUp && (done == warmUp + most || last)) {
      profile = running.stop();
      profiler = null;
    } else if (last || done == warmUp) {
      // The evaluation after an epoch is no part of a step.
      running.close();
      profiler = last ? null : Profiler.start();
    }
  }

  @Override
  public void epochEnded(History history, int epochs) throws IOException {
    Profile found = profile;
    if (found != null && !written) {
      written = true;
      found.writeChromeTrace(folder.resolve(TRACE));
      Files.writeString(folder.resolve(TABLE), heading(found) + "\n\n" + found.toTable());
    }
  }

  /**
   * The operations that took most of the time, for people; where there was no step to profile, says
   * so.
   *
   * @param rows how many
   */
  public String summary(int rows) {
    Profile found = profile;
    return found == null
        ? "no step was profiled: the run has no more than the " + warmUp + " to warm up\n"
        : heading(found) + "\n" + found.toTable(rows);
  }

  private String heading(Profile found) {
    int steps = done - warmUp;
    return String.format(
        Locale.ROOT,
        "profile of %d steps after %d to warm up: %.2f ms a step",
        steps,
        warmUp,
        1e3 * found.seconds() / steps);
  }

  @Override
  public void close() {
    Profiler running = profiler;
    if (running != null) {
      profiler = null;
      running.close();
    }
  }
}
