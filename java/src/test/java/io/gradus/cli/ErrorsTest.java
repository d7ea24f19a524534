package io.gradus.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.gradus.cli.Gradus.Outcome;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every error is one line with cause and remedy, and an exit code; nothing is lost by it. */
class ErrorsTest {
  @TempDir private static Path shared;
  private static Path data;
  private static Path run;
  private static Path image;

  @TempDir private Path folder;

  @BeforeAll
  static void train() throws IOException {
    data = SmallDigits.idx(shared.resolve("digits"), 32, 16);
    run = shared.resolve("run");
    image = SmallDigits.png(shared.resolve("digit.png"), 0);
    Outcome outcome =
        Gradus.run(
            "train", "--data", data, "--model", "mlp", "--epochs", 1, "--batch", 16, "--out", run);
    assertEquals(0, outcome.code(), outcome::toString);
    Files.createDirectories(shared.resolve("empty"));
    Files.createDirectories(shared.resolve("foreign"));
    Files.writeString(shared.resolve("foreign/notes.txt"), "no data");
    Files.writeString(shared.resolve("file"), "a file");
  }

  /** DIR stands for the shared folder. */
  private static Object[] words(String line) {
    List<Object> words = new ArrayList<>();
    for (String word : line.strip().split(" +", -1)) {
      words.add(word.replace("DIR", shared.toString()));
    }
    return words.toArray();
  }

  private static Map<Path, String> contents() throws IOException {
    Map<Path, String> out = new HashMap<>();
    Files.walkFileTree(
        shared,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            out.put(file, Integer.toString(Arrays.hashCode(Files.readAllBytes(file))));
            return FileVisitResult.CONTINUE;
          }
        });
    return out;
  }

  private static String oneLine(Outcome outcome, int code) {
    assertEquals(code, outcome.code(), outcome::toString);
    assertEquals(1, outcome.err().size(), outcome::toString);
    String line = outcome.err().get(0);
    assertTrue(line.startsWith("gradus"), line);
    assertFalse(line.contains("Exception") || line.contains("internal error"), line);
    return line;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "train --speed 3                     | --speed",
        "train --epochs                      | --epochs",
        "train --epochs many                 | many",
        "train --epochs 0                    | --epochs must be at least 1, not 0",
        "train --batch 0                     | --batch must be at least 1, not 0",
        "train --batch 99999999999           | --batch",
        "train --lr -0.1                     | --lr must be a positive number, not -0.1",
        "train --lr 0                        | --lr must be a positive number",
        "train --lr NaN                      | --lr must be a positive number, not NaN",
        "train --lr Infinity                 | --lr must be a positive number",
        "train --seed x                      | --seed",
        "train --subset 0                    | --subset must be at least 1, not 0",
        "train --checkpoint-seconds -1       | --checkpoint-seconds must not be negative",
        "train --threads 0                   | --threads must be at least 1, not 0",
        "train --threads -2                  | --threads must be at least 1, not -2",
        "train --model vgg                   | 'vgg' is none of mlp, cnn, resnet20 (see",
        "train --device tpu                  | tpu",
        "train --device cuda:0               | cuda:0",
        "train --device cpu:x                | write auto, cpu",
        "train --device cpu:7                | cpu:7",
        "train --data DIR/absent             | there is no folder DIR/absent: check --data",
        "train --data DIR/file               | DIR/file is a file: name the folder",
        "train --data DIR/empty              | DIR/empty is empty",
        "train --data DIR/digits --out DIR/run | DIR/run holds a run already: continue it with"
            + " --resume",
        "train --recipe resnet               | 'resnet' is none of cifar10-fast, char-gpt (see",
        "train --precision half              | 'half' is none of float32, bf16, fp16, tf32 (see",
        "train --recipe char-gpt             | --recipe char-gpt needs --data",
        "train --recipe char-gpt --data DIR/absent | there is no DIR/absent: check --data",
        "train --recipe char-gpt --data DIR/file --lr 1 | --lr is not for --recipe: leave it out",
        "train --recipe char-gpt --data DIR/file --optimizer muon | --optimizer is for --recipe"
            + " cifar10-fast",
        "train --recipe cifar10-fast --data DIR/digits --optimizer adam | 'adam' is none of sgd, muon",
        "train --recipe cifar10-fast --data DIR/digits --ema 0.9 | cifar10-fast averages its weights",
        "train --recipe char-gpt --data DIR/file --ema 1 | --ema must be at least 0 and below 1",
        "train --sample 3                    | --sample is for --recipe char-gpt",
        "train --recipe char-gpt --data DIR/file --steps 0 | --steps must be at least 1, not 0",
        "train --recipe cifar10-fast --data DIR/digits --out DIR/run | DIR/run holds a run already",
        "train --steps 3                     | --steps is for --recipe: see --epochs",
        "train extra                         | extra",
        "eval                                | --out",
        "eval --out DIR/absent               | there is no trained model in DIR/absent: make one",
        "eval --out DIR/run --data DIR/absent | there is no folder DIR/absent",
        "eval --out DIR/run --device cuda:0  | cuda:0",
        "eval --out DIR/run --epochs 3       | --epochs",
        "predict DIR/digit.png               | --out",
        "predict --out DIR/run               | IMAGE",
        "predict --out DIR/run --sample 9    | there is no char-gpt in DIR/run",
        "predict --out DIR/run --sample 9 DIR/digit.png | name IMAGE files, or --sample N",
        "predict --out DIR/absent DIR/digit.png | there is no trained model in DIR/absent",
        "train --data DIR/foreign            | holds no data set that is known",
        "devices --threads 0                 | --threads must be at least 1",
        "deploy                              | deploy",
        "''                                  | name a command: train, eval, predict, devices",
      })
  void badUse(String line, String part) throws IOException {
    Map<Path, String> before = contents();
    Outcome outcome = line.isBlank() ? Gradus.run() : Gradus.run(words(line));
    String message = oneLine(outcome, 2);
    assertTrue(message.contains(part.replace("DIR", shared.toString())), message);
    assertTrue(message.contains("--help)"), message);
    assertEquals(List.of(), outcome.out());
    assertEquals(before, contents());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "train --data DIR/digits --out DIR/file                 | DIR/file is a file, not a folder:"
            + " choose",
        "train --data DIR/digits --out DIR/file/run             | DIR/file",
        "train --data DIR/digits --out DIR/run --resume --lr 0.5 | lr=0.5",
        "predict --out DIR/run DIR/absent.png                   | there is no file DIR/absent.png:"
            + " check",
        "predict --out DIR/run DIR/file                         | DIR/file",
        "predict --out DIR/run DIR/empty                        | DIR/empty",
      })
  void failedRun(String line, String part) throws IOException {
    Map<Path, String> before = contents();
    String message = oneLine(Gradus.run(words(line)), 1);
    assertTrue(message.contains(part.replace("DIR", shared.toString())), message);
    assertEquals(before, contents());
  }

  @ParameterizedTest
  @CsvSource({"0", "1", "7", "100", "5000", "-1"})
  void truncatedModels(int length) throws IOException {
    byte[] whole = Files.readAllBytes(run.resolve("model.safetensors"));
    int kept = length < 0 ? whole.length + length : length;
    Path file = folder.resolve("model.safetensors");
    Files.write(file, Arrays.copyOf(whole, kept));
    for (Object[] command :
        List.of(
            new Object[] {"eval", "--out", folder},
            new Object[] {"predict", "--out", folder, image})) {
      String message = oneLine(Gradus.run(command), 1);
      assertTrue(message.contains(file.toString()), message);
    }
  }

  @Test
  void aModelThatIsAFolder() throws IOException {
    Files.createDirectories(folder.resolve("model.safetensors"));
    oneLine(Gradus.run("eval", "--out", folder), 2);
  }

  @Test
  void aModelThatIsText() throws IOException {
    Files.writeString(folder.resolve("model.safetensors"), "not a model, but long enough for one");
    oneLine(Gradus.run("eval", "--out", folder), 1);
  }

  @Test
  void damagedData() throws IOException {
    Path damaged = SmallDigits.idx(folder.resolve("digits"), 8, 8);
    Path labels = damaged.resolve("train-labels-idx1-ubyte");
    Files.write(labels, Arrays.copyOf(Files.readAllBytes(labels), 10));
    String message =
        oneLine(Gradus.run("train", "--data", damaged, "--out", folder.resolve("run")), 1);
    assertTrue(message.contains(labels.toString()), message);
    assertFalse(Files.exists(folder.resolve("run")));
  }

  @Test
  void dataOfAnotherShapeThanTheModels() throws IOException {
    Path table = Files.createDirectories(folder.resolve("table"));
    Files.writeString(table.resolve("t.csv"), "a,class\n1,x\n2,y\n3,x\n4,y\n5,x\n6,y\n");
    String message = oneLine(Gradus.run("eval", "--out", run, "--data", table), 1);
    assertTrue(message.contains("--data"), message);
  }

  @Test
  void oneImageThatIsNoneDoesNotStopTheOthers() {
    Path text = shared.resolve("file");
    Outcome outcome = Gradus.run("predict", "--out", run, text, image);
    assertEquals(1, outcome.code());
    assertEquals(1, outcome.err().size(), outcome::toString);
    assertTrue(outcome.err().get(0).contains(text.toString()), outcome::toString);
    assertEquals(1, outcome.out().size(), outcome::toString);
    assertTrue(outcome.out().get(0).startsWith(image.toString()), outcome::toString);
  }

  @Test
  void aFolderThatCannotBeWrittenTo() throws IOException {
    Path locked = Files.createDirectories(folder.resolve("locked"));
    assertTrue(locked.toFile().setWritable(false));
    assumeFalse(Files.isWritable(locked), "this user may write everywhere");
    String message =
        oneLine(Gradus.run("train", "--data", data, "--out", locked.resolve("run")), 1);
    assertTrue(message.contains("permission"), message);
    assertTrue(locked.toFile().setWritable(true));
  }

  @Test
  void checkpointsThatAreAllDamaged() throws IOException {
    Path out = folder.resolve("run");
    Path checkpoints = Files.createDirectories(out.resolve("checkpoint"));
    byte[] bytes = {1, 2, 3};
    Files.write(checkpoints.resolve("checkpoint-000001.safetensors"), bytes);
    Outcome outcome =
        Gradus.run("train", "--data", data, "--model", "mlp", "--out", out, "--resume");
    assertEquals(1, outcome.code(), outcome::toString);
    String line = oneLine(outcome, 1);
    assertTrue(line.contains("no usable checkpoint") && line.contains("start the run anew"), line);
    assertArrayEquals(
        bytes, Files.readAllBytes(checkpoints.resolve("checkpoint-000001.safetensors")));
  }

  @Test
  void aRunThatDiverges() throws IOException {
    Path out = folder.resolve("run");
    String message =
        oneLine(
            Gradus.run(
                "train",
                "--data",
                data,
                "--model",
                "mlp",
                "--lr",
                "1e30",
                "--batch",
                8,
                "--epochs",
                5,
                "--out",
                out),
            1);
    assertTrue(message.contains("learning rate"), message);
    assertFalse(Files.exists(out.resolve("model.safetensors")));
  }

  @Test
  void moreMemoryThanThereIs() throws IOException, InterruptedException {
    Path log = folder.resolve("log");
    int code =
        Gradus.process(log, List.of("-Xmx16m"), "train", "--out", folder.resolve("run"))
            .start()
            .waitFor();
    List<String> lines = Files.readAllLines(log);
    assertEquals(1, code, lines::toString);
    assertTrue(lines.get(lines.size() - 1).contains("-Xmx"), lines::toString);
    assertFalse(lines.stream().anyMatch(l -> l.strip().startsWith("at ")), lines::toString);
  }

  @ParameterizedTest
  @CsvSource({
    "train --verbose --epochs 0, 2",
    "predict --verbose --out DIR/run DIR/absent.png, 1",
    "train --data DIR/foreign --verbose, 2"
  })
  void verboseShowsWhereItHappened(String line, int code) {
    Outcome outcome = Gradus.run(words(line));
    assertEquals(code, outcome.code(), outcome::toString);
    assertTrue(
        outcome.err().stream().anyMatch(l -> l.strip().startsWith("at io.gradus.")),
        outcome::toString);
  }
}
