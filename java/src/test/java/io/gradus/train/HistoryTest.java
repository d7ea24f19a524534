package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HistoryTest {
  private static final double NAN = Double.NaN;

  @TempDir private Path folder;

  private static History of(EpochResult... results) {
    History history = new History();
    for (EpochResult result : results) {
      history.add(result);
    }
    return history;
  }

  private BufferedImage curves(History history) throws IOException {
    Path file = folder.resolve("curves.png");
    Files.deleteIfExists(file);
    Curves.write(file, history);
    BufferedImage image = ImageIO.read(file.toFile());
    assertNotNull(image);
    return image;
  }

  private static int colours(BufferedImage image) {
    Set<Integer> seen = new HashSet<>();
    for (int y = 0; y < image.getHeight(); y++) {
      for (int x = 0; x < image.getWidth(); x++) {
        seen.add(image.getRGB(x, y));
      }
    }
    return seen.size();
  }

  @Test
  void tableHasOneLinePerEpochInAnyLocale() throws IOException {
    Locale before = Locale.getDefault();
    Locale.setDefault(Locale.GERMANY);
    try {
      Path file = folder.resolve("new/metrics.csv");
      of(
              new EpochResult(1, 1.25, 0.5, 1.125, 0.625, 1234.56, 7.891),
              new EpochResult(2, 0.1, 1, NAN, NAN, 1e6, 0))
          .writeCsv(file);
      assertEquals(
          List.of(
              "epoch,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds",
              "1,1.25000000,0.50000000,1.12500000,0.62500000,1234.6,7.89",
              "2,0.10000000,1.00000000,NaN,NaN,1000000.0,0.00"),
          Files.readAllLines(file));
    } finally {
      Locale.setDefault(before);
    }
  }

  @Test
  void lastNeedsAnEpoch() {
    IllegalStateException e = assertThrows(IllegalStateException.class, of()::last);
    assertTrue(e.getMessage().contains("no epoch"), e.getMessage());
  }

  @Test
  void epochsCannotBeChangedFromOutside() {
    History history = of(new EpochResult(1, 1, 1, 1, 1, 1, 1));
    assertThrows(UnsupportedOperationException.class, () -> history.epochs().clear());
  }

  @Test
  void curvesShowLossAndAccuracySideBySide() throws IOException {
    BufferedImage image =
        curves(
            of(
                new EpochResult(1, 2, 0.3, 1.8, 0.4, 1, 1),
                new EpochResult(2, 1, 0.6, 1.2, 0.5, 1, 1)));
    assertTrue(image.getWidth() > image.getHeight());
    assertTrue(colours(image.getSubimage(0, 0, image.getWidth() / 2, image.getHeight())) > 3);
    assertTrue(
        colours(image.getSubimage(image.getWidth() / 2, 0, image.getWidth() / 2, image.getHeight()))
            > 3);
  }

  @Test
  void curvesOfOneEpoch() throws IOException {
    assertTrue(colours(curves(of(new EpochResult(1, 2, 0.3, 1.8, 0.4, 1, 1)))) > 3);
  }

  @Test
  void curvesWithoutATestSet() throws IOException {
    assertTrue(
        colours(
                curves(
                    of(
                        new EpochResult(1, 2, 0.3, NAN, NAN, 1, 1),
                        new EpochResult(2, 1, 0.5, NAN, NAN, 1, 1))))
            > 3);
  }

  @Test
  void curvesWithNumbersThatCannotBeDrawn() throws IOException {
    curves(of(new EpochResult(1, NAN, NAN, NAN, NAN, NAN, NAN)));
    curves(
        of(
            new EpochResult(1, 1, 0, Double.POSITIVE_INFINITY, 0, 1, 1),
            new EpochResult(2, NAN, 0, 1e300, 0, 1, 1)));
    curves(of());
  }

  @Test
  void curvesOfAConstant() throws IOException {
    curves(of(new EpochResult(1, 0, 1, 0, 1, 1, 1), new EpochResult(2, 0, 1, 0, 1, 1, 1)));
  }
}
