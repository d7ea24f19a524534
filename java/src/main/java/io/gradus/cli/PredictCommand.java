package io.gradus.cli;

import io.gradus.core.Device;
import io.gradus.core.FormatException;
import io.gradus.core.GradusException;
import io.gradus.core.Shape;
import io.gradus.data.Images;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Softmax;
import io.gradus.tensor.Tensor;
import io.gradus.train.CharGptModel;
import io.gradus.train.RunFolder;
import io.gradus.train.TrainedModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Classifies images with a trained model, or lets a model of text write. */
@Command(
    name = "predict",
    description =
        "Classifies images: prints each one's three likeliest classes. With --sample, prints what a"
            + " char-gpt makes up.")
final class PredictCommand implements Callable<Integer> {
  private static final int SHOWN = 3;

  @Mixin private Common common = new Common();

  @Option(
      names = "--out",
      paramLabel = "DIR",
      required = true,
      description = "Folder of the run, as given to train.")
  private Path out = Path.of("");

  @Parameters(paramLabel = "IMAGE", arity = "0..*", description = "Image files.")
  private List<Path> images = new ArrayList<>();

  @Option(
      names = "--sample",
      paramLabel = "N",
      description = "Characters that the char-gpt in --out makes up.")
  private @Nullable Integer sample;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "With --sample: seed of the draws (default: 0).")
  private long seed;

  @Override
  public Integer call() throws IOException {
    Integer length = sample;
    common.require(
        length == null != images.isEmpty(), "name IMAGE files, or --sample N for a char-gpt");
    if (length != null) {
      return write(length);
    }
    Device device = common.open();
    TrainedModel model = common.model(out, device);
    int failed = 0;
    for (Path image : images) {
      try {
        common.out().println(image + "  " + classify(model, image, device));
      } catch (IOException | GradusException e) {
        // One bad file must not keep the others from being classified.
        failed++;
        common.report(e);
      }
    }
    return failed == 0 ? 0 : 1;
  }

  private int write(int length) throws IOException {
    common.require(length >= 0, "--sample must not be negative: " + length);
    Path file = new RunFolder(out).weights();
    common.require(
        Files.isRegularFile(file),
        "there is no char-gpt in " + out + ": make one with 'gradus train --recipe char-gpt'");
    common.out().println(CharGptModel.load(file, common.open()).sample(length, seed));
    return 0;
  }

  private static String classify(TrainedModel model, Path image, Device device) throws IOException {
    if (Files.isDirectory(image)) {
      throw new FormatException("[predict] " + image + " is a folder: name image files");
    }
    Shape shape = model.sampleShape();
    float[] values = Images.read(image, shape);
    model.standardise().apply(values, 0, values.length);
    double[] probabilities;
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor x = Tensor.of(values, shape.insert(0, 1).dims()).to(device);
      probabilities = Softmax.softmax(model.module().call(x), -1).toDoubles();
    }
    StringBuilder line = new StringBuilder();
    IntStream.range(0, probabilities.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -probabilities[i]))
        .limit(SHOWN)
        .forEach(
            i ->
                line.append(line.length() == 0 ? "" : "  ")
                    .append(model.classNames().get(i))
                    .append(String.format(Locale.ROOT, " %.2f%%", 100 * probabilities[i])));
    return line.toString();
  }
}
