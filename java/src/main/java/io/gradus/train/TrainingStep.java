package io.gradus.train;

import io.gradus.core.DType;
import io.gradus.data.DataLoader;
import io.gradus.io.CheckpointData;
import io.gradus.nn.Module;
import io.gradus.optim.Clip;
import io.gradus.optim.LossScaler;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Tensor;
import java.util.function.BinaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * The step of a {@link Trainer}: forward, loss, backward, clipping, optimizer and schedule, and
 * what it changes.
 *
 * @param model from a batch of samples to logits
 * @param optimizer of its parameters
 * @param scheduler of its rates, or null
 * @param loss from logits and labels to the mean loss
 * @param clipNorm greatest norm of all gradients together; 0 for any
 * @param precision type of the products
 * @param scaler of the loss, or null
 */
record TrainingStep(
    Module model,
    Optimizer optimizer,
    @Nullable Scheduler scheduler,
    BinaryOperator<Tensor> loss,
    double clipNorm,
    Precision precision,
    @Nullable LossScaler scaler) {

  /** What a step gives. */
  record Trained(Tensor logits, Tensor loss) {}

  /** Trains on a batch; nothing waits for it. */
  Trained train(Tensor x, Tensor y) {
    Tensor logits;
    Tensor value;
    try (Precision.Guard g = precision.use()) {
      logits = model.call(x);
      value = loss.apply(logits, y);
      optimizer.zeroGrad();
      // Inside the guard for the sake of TF32; the other types are those of the forward.
      (scaler == null ? value : scaler.scale(value)).backward();
    }
    update();
    if (scheduler != null) {
      scheduler.step();
    }
    return new Trained(logits, value);
  }

  /** The same for {@link CapturedTraining}: mean loss and number of right answers. */
  Tensor[] trainCaptured(Tensor[] in) {
    Trained trained = train(in[0], in[1]);
    try (GradMode.Guard g = GradMode.noGrad()) {
      Tensor right = trained.logits().argmax(-1).eq(in[1]).to(DType.FLOAT64).sum();
      Tensor mean = trained.loss().detach().to(DType.FLOAT64).reshape();
      return new Tensor[] {Tensor.stack(0, mean, right)};
    }
  }

  private void update() {
    if (scaler != null) {
      scaler.unscale(optimizer);
    }
    if (clipNorm > 0) {
      Clip.byNorm(model.parameters(), clipNorm);
    }
    if (scaler == null) {
      optimizer.step();
    } else {
      scaler.step(optimizer);
      scaler.update();
    }
  }

  /** How the model does on a data set, in this precision. */
  Evaluation evaluate(DataLoader data) {
    try (Precision.Guard g = precision.use()) {
      return Evaluation.of(model, data, loss);
    }
  }

  void save(CheckpointData data) {
    data.putGroup("model", model.stateDict()).putGroup("optimizer", optimizer.stateDict());
    if (scheduler != null) {
      data.putGroup("scheduler", scheduler.stateDict());
    }
    if (scaler != null) {
      data.putGroup("scaler", scaler.stateDict());
    }
  }

  void load(CheckpointData data) {
    model.loadStateDict(data.group("model"));
    optimizer.loadStateDict(data.group("optimizer"));
    if (scheduler != null) {
      scheduler.loadStateDict(data.group("scheduler"));
    }
    if (scaler != null) {
      scaler.loadStateDict(data.group("scaler"));
    }
  }
}
