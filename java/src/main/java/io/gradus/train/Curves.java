package io.gradus.train;

import io.gradus.io.AtomicFiles;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.ToDoubleFunction;
import javax.imageio.ImageIO;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Draws loss and accuracy over the epochs. */
final class Curves {
  private static final int WIDTH = 640;
  private static final int HEIGHT = 480;

  private Curves() {}

  /**
   * Writes a PNG with loss on the left and accuracy on the right.
   *
   * @throws IOException when the file cannot be written; an older one stays then
   */
  static void write(Path file, History history) throws IOException {
    XYChart loss = chart("Loss", "mean loss", Styler.LegendPosition.InsideNE);
    series(loss, "training", history.epochs(), EpochResult::trainLoss);
    series(loss, "test", history.epochs(), EpochResult::testLoss);
    XYChart accuracy = chart("Accuracy", "accuracy in %", Styler.LegendPosition.InsideSE);
    series(accuracy, "training", history.epochs(), e -> 100 * e.trainAccuracy());
    series(accuracy, "test", history.epochs(), e -> 100 * e.testAccuracy());
    BufferedImage image = new BufferedImage(2 * WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = image.createGraphics();
    try {
      graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
      loss.paint(graphics, WIDTH, HEIGHT);
      graphics.translate(WIDTH, 0);
      accuracy.paint(graphics, WIDTH, HEIGHT);
    } finally {
      graphics.dispose();
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    if (!ImageIO.write(image, "png", bytes)) {
      throw new IOException("[curves] this Java cannot write PNG images");
    }
    AtomicFiles.writeBytes(file, bytes.toByteArray());
  }

  /** The legend goes where the curves of a run that learns do not. */
  private static XYChart chart(String title, String yAxis, Styler.LegendPosition legend) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle("epoch")
            .yAxisTitle(yAxis)
            .build();
    chart.getStyler().setLegendPosition(legend);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    chart.getStyler().setXAxisDecimalPattern("#");
    return chart;
  }

  private static void series(
      XYChart chart, String name, List<EpochResult> epochs, ToDoubleFunction<EpochResult> value) {
    // The chart refuses what it cannot draw: a run that diverged, or one without a test set.
    List<EpochResult> finite =
        epochs.stream().filter(e -> Double.isFinite(value.applyAsDouble(e))).toList();
    if (!finite.isEmpty()) {
      double[] x = finite.stream().mapToDouble(EpochResult::epoch).toArray();
      double[] y = finite.stream().mapToDouble(value).toArray();
      chart.addSeries(name, x, y).setMarker(SeriesMarkers.CIRCLE);
    }
  }
}
