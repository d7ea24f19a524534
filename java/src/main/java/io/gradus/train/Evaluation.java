package io.gradus.train;

import io.gradus.core.Device;
import io.gradus.data.Batch;
import io.gradus.data.DataLoader;
import io.gradus.data.Epoch;
import io.gradus.metrics.ConfusionMatrix;
import io.gradus.metrics.MeanLoss;
import io.gradus.metrics.Predictions;
import io.gradus.nn.Module;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.List;
import java.util.function.BinaryOperator;

/**
 * How a model does on a data set.
 *
 * @param loss mean loss per sample
 * @param confusion counts of true and predicted classes, from which accuracy, precision, recall and
 *     F1 follow
 */
public record Evaluation(double loss, ConfusionMatrix confusion) {
  /** Share of samples classified rightly, from 0 to 1. */
  public double accuracy() {
    return confusion.value();
  }

  /**
   * Runs a model over a data set in evaluation mode, in order, without recording gradients, on the
   * model's device; the model's mode is restored.
   *
   * @param model from a batch of samples to logits {@code [B, classes]}
   * @param data the samples; shuffling does not matter
   * @param loss from logits and labels to the mean loss of the batch
   */
  public static Evaluation of(Module model, DataLoader data, BinaryOperator<Tensor> loss) {
    boolean training = model.isTraining();
    model.eval();
    MeanLoss meanLoss = new MeanLoss();
    ConfusionMatrix confusion = new ConfusionMatrix(data.dataset().classNames());
    try (GradMode.Guard g = GradMode.noGrad();
        Epoch epoch = data.epoch(0);
        DeviceBatches batches = new DeviceBatches(epoch.iterator(), deviceOf(model))) {
      while (batches.hasNext()) {
        try (Scope s = Scope.open()) {
          Batch batch = batches.next();
          Tensor logits = model.call(batch.x());
          Tensor value = loss.apply(logits, batch.y());
          batches.bringNext();
          meanLoss.update(value.item(), batch.size());
          confusion.update(Predictions.of(logits, batch.y()));
        }
      }
    } finally {
      model.train(training);
    }
    return new Evaluation(meanLoss.value(), confusion);
  }

  /** Where a model computes, and so where its batches must be. */
  static Device deviceOf(Module model) {
    List<Tensor> parameters = model.parameters();
    return parameters.isEmpty() ? Device.cpu() : parameters.get(0).device();
  }
}
