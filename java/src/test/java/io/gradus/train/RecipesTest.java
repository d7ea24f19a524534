package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.data.CharText;
import io.gradus.data.Dataset;
import io.gradus.data.ImageDataset;
import io.gradus.data.TrainTest;
import io.gradus.optim.Schedule;
import io.gradus.tensor.Precision;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The recipes, in small: they learn, alike on every device and in every run. */
class RecipesTest {
  static final CifarFast.Options TINY =
      CifarFast.Options.DEFAULT
          .withWidths(List.of(8, 12, 12))
          .withBatch(30)
          .withEpochs(6)
          .withSeed(3);

  static final CharGpt.Options SHORT =
      CharGpt.Options.SMALL.withSteps(150).withBatch(4).withNetwork(16, 2, 2, 32).withSeed(5);

  /** Colours that depend on the class, with noise. */
  static Dataset colours(int count, long seed) {
    Random random = new Random(seed);
    byte[] pixels = new byte[count * 32 * 32 * 3];
    int[] labels = new int[count];
    for (int i = 0; i < count; i++) {
      labels[i] = i % 3;
      for (int p = 0; p < 32 * 32; p++) {
        for (int c = 0; c < 3; c++) {
          int light = c == labels[i] ? 140 : 90;
          pixels[(i * 32 * 32 + p) * 3 + c] = (byte) (light + random.nextInt(80));
        }
      }
    }
    return new ImageDataset(
        "colours", Shape.of(32, 32, 3), List.of("red", "green", "blue"), pixels, labels);
  }

  static TrainTest images() {
    return new TrainTest(colours(90, 1), colours(60, 2));
  }

  static CharText text() throws IOException {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 200; i++) {
      text.append("a rose is a rose, ");
    }
    return CharText.of("rose", text.toString());
  }

  static Stream<Device> devices() {
    return Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device);
  }

  @ParameterizedTest
  @EnumSource(CifarFast.Method.class)
  void cifarFastLearns(CifarFast.Method method) throws IOException {
    CifarFast run = new CifarFast(images(), Device.cpu(), TINY.withMethod(method));
    assertEquals(18, run.steps());
    List<String> told = new ArrayList<>();
    History history =
        run.fit(
            List.of(
                new TrainingListener() {
                  @Override
                  public void batchTrained(int batch, double meanLoss, double accuracy) {
                    told.add("batch " + batch);
                  }

                  @Override
                  public void epochEnded(History results, int epochs) {
                    told.add("end " + results.epochs().size() + "/" + epochs);
                  }
                }));
    assertEquals(6, history.epochs().size());
    assertEquals(24, told.size());
    assertEquals(List.of("batch 1", "batch 2", "batch 3", "end 1/6"), told.subList(0, 4));
    double first = history.epochs().get(0).trainLoss();
    double last = history.last().trainLoss();
    assertTrue(last < 0.9 * first, () -> first + " to " + last);
    assertTrue(history.last().testAccuracy() > 0.9, () -> history.last().toString());
  }

  static Stream<Object[]> methodsAndDevices() {
    return devices()
        .flatMap(d -> Stream.of(CifarFast.Method.values()).map(m -> new Object[] {m, d}));
  }

  @ParameterizedTest
  @MethodSource("methodsAndDevices")
  void cifarFastTakesAStepOnEveryDevice(CifarFast.Method method, Device device) throws IOException {
    CifarFast.Options options = TINY.withSteps(2).withBatch(6).withMethod(method);
    TrainTest few = new TrainTest(colours(12, 1), colours(6, 2));
    EpochResult expected = new CifarFast(few, Device.reference(), options).fit(List.of()).last();
    EpochResult result = new CifarFast(few, device, options).fit(List.of()).last();
    assertEquals(expected.trainLoss(), result.trainLoss(), 1e-4);
    assertEquals(expected.testLoss(), result.testLoss(), 1e-3);
  }

  @Test
  void theSameSeedGivesTheSameRun() throws IOException {
    double[][] losses = new double[3][];
    for (int i = 0; i < 3; i++) {
      CifarFast.Options options = TINY.withEpochs(1).withSeed(i == 2 ? 4 : 3);
      EpochResult r = new CifarFast(images(), Device.cpu(), options).fit(List.of()).last();
      losses[i] = new double[] {r.trainLoss(), r.testLoss()};
    }
    assertArrayEquals(losses[0], losses[1]);
    assertNotEquals(losses[0][0], losses[2][0]);
  }

  @Test
  void cifarFastSaysWhatItNeeds() {
    TrainTest grey = new TrainTest(Samples.images(60, 1), Samples.images(30, 2));
    ShapeException shape =
        assertThrows(ShapeException.class, () -> new CifarFast(grey, Device.cpu(), TINY));
    assertTrue(shape.getMessage().contains("[32, 32, 3]"), shape.getMessage());
    assertThrows(
        ArgumentException.class, () -> new CifarFast(images(), Device.cpu(), TINY.withBatch(91)));
    assertThrows(ArgumentException.class, () -> TINY.withPrecision(Precision.FP16));
    assertThrows(ArgumentException.class, () -> TINY.withWidths(List.of(1, 2)));
    assertThrows(ArgumentException.class, () -> TINY.withEpochs(0));
  }

  @Test
  void theRateIsATriangle() {
    Schedule schedule = CifarFastRates.triangle(100);
    assertEquals(0.2 * 7, schedule.lr(7, 0), 1e-12);
    assertEquals(7, schedule.lr(7, 23), 1e-12);
    assertEquals(0.07 * 7, schedule.lr(7, 100), 1e-12);
    assertEquals(0.07 * 7, schedule.lr(7, 130), 1e-12);
  }

  @Test
  void whitenedPatchesAreUncorrelatedAndOfEqualVariance() {
    int count = 40;
    int side = 6;
    Random random = new Random(1);
    float[] images = new float[count * side * side * 3];
    for (int i = 0; i < images.length; i++) {
      images[i] = (float) random.nextGaussian() + (i >= 3 ? 0.7f * images[i - 3] : 0);
    }
    float[] filters = Whitening.filters(images, count, side, side, 3, 2, 0);
    int dim = 12;
    double[][] products = new double[dim][dim];
    int patches = 0;
    for (int n = 0; n < count; n++) {
      for (int y = 0; y + 2 <= side; y++) {
        for (int x = 0; x + 2 <= side; x++) {
          double[] out = new double[dim];
          for (int k = 0; k < dim; k++) {
            for (int i = 0; i < dim; i++) {
              int pixel = (n * side + y + i / 6) * side + x + i % 6 / 3;
              out[k] += filters[k * dim + i] * images[pixel * 3 + i % 3];
            }
          }
          patches++;
          for (int i = 0; i < dim; i++) {
            for (int j = 0; j < dim; j++) {
              products[i][j] += out[i] * out[j];
            }
          }
        }
      }
    }
    for (int i = 0; i < dim; i++) {
      for (int j = 0; j < dim; j++) {
        assertEquals(i == j ? 1 : 0, products[i][j] / patches, 1e-4);
      }
      assertEquals(-filters[i], filters[dim * dim + i]);
    }
  }

  @Test
  void movedAndMirroredCopies() {
    long[] moved = TestTimeAverage.pixels(1, false);
    long[] mirrored = TestTimeAverage.pixels(0, true);
    long[] both = TestTimeAverage.pixels(-1, true);
    assertEquals(4 * 32 + 8, moved[5 * 32 + 9]);
    assertEquals(32 + 1, moved[0]);
    assertEquals(4 * 32 + 8, mirrored[4 * 32 + 23]);
    assertEquals(5 * 32 + 9, both[4 * 32 + 23]);
    assertEquals(30 * 32 + 30, both[31 * 32]);
    float[] values = new float[32 * 32 * 3];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i / 3 % 32 + 7 * (i / 96) + 80 * (i % 3)) % 256 / 255f;
    }
    byte[] bytes = new byte[2 * values.length];
    TestTimeAverage.bytes(values, bytes, 0, false);
    TestTimeAverage.bytes(values, bytes, values.length, true);
    byte[] plain = Arrays.copyOf(bytes, values.length);
    byte[] turned = Arrays.copyOfRange(bytes, values.length, bytes.length);
    for (int c = 0; c < 3; c++) {
      assertEquals(at(plain, 4, 8, c), at(turned, 4, 23, c));
    }
    assertEquals(Math.round(values[100] * 255), plain[100] & 0xFF);
  }

  private static byte at(byte[] image, int y, int x, int c) {
    return image[(y * 32 + x) * 3 + c];
  }

  @Test
  void charGptLearnsTheText() throws IOException {
    CharGpt run = new CharGpt(text(), Device.cpu(), SHORT);
    History history = run.fit(List.of());
    assertTrue(history.last().testLoss() < 1, () -> history.last().toString());
    String sample = run.model().sample(20, 5);
    assertEquals(20, sample.length());
    assertTrue(sample.chars().allMatch(c -> "a rose is,".indexOf(c) >= 0), sample);
    assertEquals(sample, run.model().sample(20, 5));
  }

  @ParameterizedTest
  @MethodSource("devices")
  void charGptTakesStepsOnEveryDevice(Device device) throws IOException {
    CharGpt.Options options = SHORT.withLimit(3).withNetwork(8, 1, 2, 16);
    EpochResult expected = new CharGpt(text(), Device.reference(), options).fit(List.of()).last();
    CharGpt run = new CharGpt(text(), device, options);
    assertEquals(3, run.steps());
    EpochResult result = run.fit(List.of()).last();
    assertEquals(expected.trainLoss(), result.trainLoss(), 1e-4);
    assertEquals(expected.testLoss(), result.testLoss(), 1e-4);
  }

  @Test
  void charGptSaysWhatItNeeds() throws IOException {
    CharText brief = CharText.of("brief", "to be or not to be");
    assertThrows(ArgumentException.class, () -> new CharGpt(brief, Device.cpu(), SHORT));
    assertThrows(ArgumentException.class, () -> SHORT.withPrecision(Precision.FP16));
    assertThrows(ArgumentException.class, () -> SHORT.withBatch(0));
  }

  @Test
  void tinyShakespeare() throws IOException {
    Path folder =
        Path.of(System.getProperty("gradus.data", "no-data-sets")).resolve("tinyshakespeare");
    Assumptions.assumeTrue(Files.isDirectory(folder), folder + " is not there");
    CharText text = CharText.open(folder);
    assertEquals(65, text.vocabulary().size());
    CharGpt run =
        new CharGpt(
            text, Device.cpu(), SHORT.withSteps(100).withBatch(8).withNetwork(32, 2, 2, 32));
    assertTrue(run.fit(List.of()).last().testLoss() < 3.6);
  }
}
