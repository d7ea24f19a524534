package io.gradus.train;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/** A progress bar per epoch for people, on standard error; a line per epoch for everybody. */
public final class ConsoleProgress implements TrainingListener, AutoCloseable {
  private final PrintWriter out;
  private final boolean interactive;
  private @Nullable ProgressBar bar;

  /**
   * Reports to a writer.
   *
   * @param out receives one line per epoch
   * @param interactive whether standard error is a terminal that can show a bar
   */
  public ConsoleProgress(PrintWriter out, boolean interactive) {
    this.out = out;
    this.interactive = interactive;
  }

  @Override
  public void epochStarted(int epoch, int epochs, int batches, int done) {
    if (interactive) {
      bar =
          new ProgressBarBuilder()
              .setTaskName("epoch " + epoch + "/" + epochs)
              .setInitialMax(batches)
              .startsFrom(done, Duration.ZERO)
              .setStyle(ProgressBarStyle.ASCII)
              .setUpdateIntervalMillis(250)
              .clearDisplayOnFinish()
              .build();
    }
  }

  @Override
  public void batchTrained(int batch, double meanLoss, double accuracy) {
    ProgressBar b = bar;
    if (b != null) {
      b.stepTo(batch);
      b.setExtraMessage(
          String.format(Locale.ROOT, " loss %.4f accuracy %.2f%%", meanLoss, 100 * accuracy));
    }
  }

  @Override
  public void epochEnded(History history, int epochs) {
    closeBar();
    EpochResult r = history.last();
    String test =
        Double.isNaN(r.testAccuracy())
            ? ""
            : String.format(
                Locale.ROOT,
                "  test loss %.4f accuracy %.2f%%",
                r.testLoss(),
                100 * r.testAccuracy());
    out.printf(
        Locale.ROOT,
        "epoch %d/%d  train loss %.4f accuracy %.2f%%%s  %.0f images/s  %.1f s%n",
        r.epoch(),
        epochs,
        r.trainLoss(),
        100 * r.trainAccuracy(),
        test,
        r.imagesPerSecond(),
        r.seconds());
    out.flush();
  }

  @Override
  public void note(String message) {
    closeBar();
    out.println(message);
    out.flush();
  }

  /** Takes the bar away, which a failed run leaves. */
  @Override
  public void close() {
    closeBar();
  }

  private void closeBar() {
    ProgressBar b = bar;
    if (b != null) {
      bar = null;
      b.close();
    }
  }
}
