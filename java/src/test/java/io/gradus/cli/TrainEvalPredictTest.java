package io.gradus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.cli.Gradus.Outcome;
import io.gradus.io.Checkpoint;
import io.gradus.io.SafeTensors;
import io.gradus.io.TensorFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.regex.Pattern;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The main job: train, evaluate, predict. */
class TrainEvalPredictTest {
  private static final Pattern ACCURACY = Pattern.compile("test accuracy \\d{1,3}\\.\\d\\d%");

  @TempDir private static Path shared;
  private static Path data;

  @TempDir private Path folder;

  @BeforeAll
  static void draw() throws IOException {
    data = SmallDigits.idx(shared.resolve("digits"), 128, 64);
  }

  private static double percent(Outcome outcome) {
    assertTrue(ACCURACY.matcher(outcome.lastLine()).matches(), outcome::toString);
    return Double.parseDouble(outcome.lastLine().replaceAll("[^0-9.]", ""));
  }

  @ParameterizedTest
  @CsvSource({"cnn, 2, 64", "mlp, 3, 128", "resnet20, 1, 32"})
  void trainsEvaluatesAndPredicts(String model, int epochs, int subset) throws IOException {
    Path out = folder.resolve("run");
    Outcome train =
        Gradus.run(
            "train",
            "--data",
            data,
            "--model",
            model,
            "--epochs",
            epochs,
            "--batch",
            32,
            "--out",
            out,
            "--subset",
            subset);
    assertEquals(0, train.code(), train::toString);
    assertEquals(List.of(), train.err());
    double accuracy = percent(train);

    List<String> table = Files.readAllLines(out.resolve("metrics.csv"));
    assertEquals(
        "epoch,train_loss,train_accuracy,test_loss,test_accuracy,images_per_second,seconds",
        table.get(0));
    assertEquals(epochs + 1, table.size());
    String[] last = table.get(epochs).split(",", -1);
    assertEquals(Integer.toString(epochs), last[0]);
    assertEquals(accuracy, 100 * Double.parseDouble(last[4]), 0.0051);
    assertTrue(
        Double.parseDouble(last[5]) > 0 && Double.parseDouble(last[6]) > 0, table.get(epochs));
    assertNotNull(ImageIO.read(out.resolve("curves.png").toFile()));
    try (TensorFile file = SafeTensors.load(out.resolve("model.safetensors"))) {
      assertEquals(model, file.metadata().get("gradus.model"));
    }
    assertTrue(Checkpoint.exists(out.resolve("checkpoint")));
    assertTrue(
        train.out().stream().anyMatch(l -> l.startsWith("epoch " + epochs + "/" + epochs + " ")),
        train::toString);
    assertTrue(
        train.out().stream().anyMatch(l -> l.contains("parameters,")), "no summary: " + train);

    if (subset >= 64) {
      Outcome eval = Gradus.run("eval", "--out", out);
      assertEquals(0, eval.code(), eval::toString);
      assertEquals(train.lastLine(), eval.lastLine());
    }

    Path image = SmallDigits.png(folder.resolve("digit.png"), 3);
    Outcome predict = Gradus.run("predict", "--out", out, image, image);
    assertEquals(0, predict.code(), predict::toString);
    assertEquals(2, predict.out().size(), predict::toString);
    String line = predict.out().get(0);
    assertTrue(line.startsWith(image + "  "), line);
    assertTrue(
        line.substring(image.toString().length())
            .matches("  \\d \\d+\\.\\d\\d%  \\d \\d+\\.\\d\\d%  \\d \\d+\\.\\d\\d%"),
        line);
  }

  @Test
  void saysWhereTheTimeOfAStepGoes() throws IOException {
    Path out = folder.resolve("run");
    Outcome train =
        Gradus.run(
            "train",
            "--data",
            data,
            "--model",
            "mlp",
            "--epochs",
            1,
            "--batch",
            4,
            "--out",
            out,
            "--profile");
    assertEquals(0, train.code(), train::toString);
    percent(train);
    assertTrue(
        train.out().stream().anyMatch(l -> l.startsWith("profile of 20 steps after 10 ")),
        train::toString);
    List<String> table = Files.readAllLines(out.resolve("profile.txt"));
    assertTrue(table.get(2).matches("phase +operation +types +sizes +calls .*share"), table.get(2));
    assertTrue(table.stream().anyMatch(l -> l.startsWith("optimizer") && l.contains(" adam ")));
    assertTrue(Files.size(out.resolve("profile.json")) > 1000);
  }

  @Test
  void learnsWhatItIsShown() throws IOException {
    Path few = SmallDigits.idx(folder.resolve("few"), 100, 100);
    // Trained on what it is measured on, so that few samples suffice.
    for (String part : List.of("images-idx3-ubyte", "labels-idx1-ubyte")) {
      Files.write(few.resolve("train-" + part), Files.readAllBytes(few.resolve("t10k-" + part)));
    }
    Path out = folder.resolve("run");
    Outcome train =
        Gradus.run(
            "train", "--data", few, "--model", "mlp", "--epochs", 20, "--batch", 20, "--out", out);
    assertTrue(percent(train) > 95, train::toString);
    int right = 0;
    for (int digit = 0; digit < 10; digit++) {
      Path image = SmallDigits.png(folder.resolve(digit + ".png"), digit);
      String line = Gradus.run("predict", "--out", out, image).lastLine();
      right += line.startsWith(image + "  " + digit + " ") ? 1 : 0;
    }
    assertTrue(right >= 8, right + " of 10 are right");
  }

  @Test
  void drawnDigitsAreTheDefault() {
    Path out = folder.resolve("run");
    Outcome train =
        Gradus.run(
            "train", "--model", "MLP", "--epochs", 1, "--subset", 64, "--batch", 16, "--out", out);
    assertEquals(0, train.code(), train::toString);
    percent(train);
    assertTrue(
        train.out().stream().anyMatch(l -> l.startsWith("data digits/train: 64 training and 64 ")),
        train::toString);
    // All of the test set, not a subset of it.
    Outcome eval = Gradus.run("eval", "--out", out);
    assertEquals(0, eval.code(), eval::toString);
    percent(eval);
    Outcome other = Gradus.run("eval", "--out", out, "--data", data);
    assertEquals(0, other.code(), other::toString);
    percent(other);
  }

  @Test
  void tablesTrainAnMlpAndRefuseAnotherModel() throws IOException {
    Path tables = Files.createDirectories(folder.resolve("tables"));
    StringBuilder csv = new StringBuilder("length,width,class\n");
    Random random = new Random(1);
    for (int i = 0; i < 60; i++) {
      csv.append(
          String.format(
              Locale.ROOT,
              "%.3f,%.3f,%s%n",
              i % 2 + 0.3 * random.nextDouble(),
              random.nextDouble(),
              i % 2 == 0 ? "small" : "large"));
    }
    Files.writeString(tables.resolve("flowers.csv"), csv);
    Path out = folder.resolve("run");
    Outcome train =
        Gradus.run("train", "--data", tables, "--epochs", 10, "--batch", 8, "--out", out);
    assertEquals(0, train.code(), train::toString);
    assertTrue(percent(train) > 90, train::toString);
    assertEquals(train.lastLine(), Gradus.run("eval", "--out", out).lastLine());

    Outcome predict =
        Gradus.run("predict", "--out", out, SmallDigits.png(folder.resolve("d.png"), 0));
    assertEquals(1, predict.code());
    assertEquals(1, predict.err().size(), predict::toString);
    Outcome cnn =
        Gradus.run("train", "--data", tables, "--model", "cnn", "--out", folder.resolve("cnn"));
    assertEquals(1, cnn.code());
    assertEquals(1, cnn.err().size(), cnn::toString);
    assertTrue(cnn.err().get(0).contains("use the model mlp"), cnn::toString);
  }

  @Test
  void resumingAFinishedRunKeepsItsAccuracy() {
    Path out = folder.resolve("run");
    Object[] args = {
      "train",
      "--data",
      data,
      "--model",
      "mlp",
      "--epochs",
      1,
      "--batch",
      32,
      "--out",
      out,
      "--resume"
    };
    Outcome first = Gradus.run(args);
    Outcome again = Gradus.run(args);
    assertEquals(first.lastLine(), again.lastLine());
    assertFalse(first.out().contains("resumed after epoch 1"), first::toString);
    assertTrue(again.out().contains("resumed after epoch 1"), again::toString);
  }

  @Test
  void listsDevicesAndHelps() {
    Outcome devices = Gradus.run("devices");
    assertEquals(0, devices.code());
    assertTrue(devices.out().stream().anyMatch(l -> l.startsWith("cpu  ")), devices::toString);
    for (String command : List.of("train", "eval", "predict", "devices")) {
      Outcome help = Gradus.run(command, "--help");
      assertEquals(0, help.code());
      assertTrue(help.out().stream().anyMatch(l -> l.contains("--verbose")), help::toString);
      assertEquals(List.of(), help.err());
    }
    Outcome help = Gradus.run("help");
    assertEquals(0, help.code());
    assertTrue(help.out().stream().anyMatch(l -> l.contains("train")), help::toString);
    assertEquals(0, Gradus.run("--version").code());
  }
}
