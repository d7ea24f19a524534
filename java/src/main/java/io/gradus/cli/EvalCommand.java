package io.gradus.cli;

import io.gradus.core.Checks;
import io.gradus.core.Device;
import io.gradus.data.DataLoader;
import io.gradus.data.Dataset;
import io.gradus.metrics.Average;
import io.gradus.metrics.ConfusionMatrix;
import io.gradus.tensor.Loss;
import io.gradus.train.Evaluation;
import io.gradus.train.TrainedModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Evaluates a trained model on the test set of a folder. */
@Command(name = "eval", description = "Evaluates a trained model on a test set.")
final class EvalCommand implements Callable<Integer> {
  private static final int BATCH = 256;

  @Mixin private Common common = new Common();

  @Option(
      names = "--out",
      paramLabel = "DIR",
      required = true,
      description = "Folder of the run, as given to train.")
  private Path out = Path.of("");

  @Option(
      names = "--data",
      paramLabel = "DIR",
      description = "Folder with the data (default: what the model was trained on).")
  private @Nullable Path data;

  @Override
  public Integer call() throws IOException {
    Device device = common.open();
    TrainedModel model = common.model(out, device);
    Path folder = data;
    if (folder == null && !model.data().equals(Common.DIGITS)) {
      folder = Path.of(model.data());
    }
    Dataset test = common.data(folder).test();
    Checks.shape(
        test.sampleShape().equals(model.sampleShape()),
        "[eval] the model takes samples %s but %s has %s: name the right folder with --data",
        model.sampleShape(),
        test.name(),
        test.sampleShape());
    Checks.argument(
        test.classNames().equals(model.classNames()),
        "[eval] the model knows the classes %s but %s has %s: name the right folder with --data",
        model.classNames(),
        test.name(),
        test.classNames());
    DataLoader loader =
        DataLoader.builder(test).batch(BATCH).standardise(model.standardise()).build();
    Evaluation evaluation = Evaluation.of(model.module(), loader, Loss::crossEntropy);
    report(evaluation);
    return 0;
  }

  private void report(Evaluation evaluation) {
    ConfusionMatrix confusion = evaluation.confusion();
    common.out().println(confusion);
    common
        .out()
        .printf(
            Locale.ROOT,
            "test loss %.4f  macro precision %.4f  recall %.4f  F1 %.4f%n",
            evaluation.loss(),
            confusion.precision(Average.MACRO),
            confusion.recall(Average.MACRO),
            confusion.f1(Average.MACRO));
    common.out().printf(Locale.ROOT, "test accuracy %.2f%%%n", 100 * evaluation.accuracy());
  }
}
