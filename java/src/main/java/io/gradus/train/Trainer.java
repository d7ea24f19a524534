package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.core.Device;
import io.gradus.core.GradusException;
import io.gradus.data.Batch;
import io.gradus.data.DataLoader;
import io.gradus.data.Epoch;
import io.gradus.io.CheckpointData;
import io.gradus.metrics.Predictions;
import io.gradus.nn.Module;
import io.gradus.optim.LossScaler;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Plateau;
import io.gradus.optim.Schedule;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BinaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * The training loop: forward, loss, backward, clipping, optimizer step and schedule for every
 * batch; evaluation, history, early stopping and a checkpoint after every epoch, checkpoints in
 * between by the clock.
 *
 * <p>Every batch runs in a {@link Scope}, so memory stays constant. A run that was killed and is
 * continued with {@code resume(true)} ends with the same weights, bit for bit, as one that was not:
 * a checkpoint holds weights, optimizer, schedule, loss scale, generator, position in the data and
 * the running sums.
 *
 * <pre>{@code
 * History history =
 *     Trainer.builder(model, trainLoader)
 *         .test(testLoader)
 *         .optimizer(new AdamW(model.parameters(), 1e-3))
 *         .epochs(3)
 *         .build()
 *         .fit();
 * }</pre>
 */
public final class Trainer {
  private final TrainingStep step;
  private final DataLoader train;
  private final @Nullable DataLoader test;
  private final @Nullable Plateau plateau;
  private final int epochs;
  private final @Nullable EarlyStopping earlyStopping;
  private final RunCheckpoints checkpoints;
  private final TrainingListener listeners;
  private final boolean capture;
  private final History history = new History();
  private final Progress progress = new Progress(1);
  private @Nullable CapturedTraining captured;
  private boolean saidEager;

  private Trainer(Builder b, Optimizer optimizer) {
    this.step =
        new TrainingStep(
            b.model,
            optimizer,
            b.schedule == null ? null : new Scheduler(optimizer, b.schedule),
            b.loss,
            b.clipNorm,
            b.precision,
            b.precision == Precision.FP16
                ? new LossScaler(Evaluation.deviceOf(b.model), b.lossScale)
                : null);
    this.train = b.train;
    this.test = b.test;
    this.plateau = b.plateau;
    this.epochs = b.epochs;
    this.earlyStopping = b.earlyStopping;
    this.checkpoints = new RunCheckpoints(b.checkpoints, b.identity);
    this.listeners = new Listeners(b.listeners);
    this.capture = b.capture;
  }

  /** Starts the description of a run of a model on a data set. */
  public static Builder builder(Module model, DataLoader train) {
    return new Builder(model, train);
  }

  /** The results so far. */
  public History history() {
    return history;
  }

  /**
   * Trains until the last epoch, or until early stopping, and leaves the model in training mode.
   *
   * @return the results of all epochs, those before a resume included
   * @throws IOException when a checkpoint cannot be written or read
   * @throws io.gradus.core.ArgumentException when the folder holds checkpoints and the run is not
   *     to resume, or they are of another run
   * @throws GradusException when the loss is no longer finite
   */
  public History fit() throws IOException {
    if (checkpoints.restore(this::load, listeners::note)) {
      listeners.note(progress.resumed());
    }
    boolean stop = earlyStopping != null && earlyStopping.shouldStop();
    try (CapturedTraining steps = capture ? capturedTraining() : null) {
      captured = steps;
      while (progress.epoch() < epochs && !stop) {
        stop = runEpoch();
      }
    } finally {
      captured = null;
    }
    if (earlyStopping != null) {
      if (stop) {
        listeners.note(
            "stopped early after epoch "
                + progress.epoch()
                + ": no improvement since epoch "
                + earlyStopping.bestEpoch());
      }
      earlyStopping.restoreBest(step.model());
    }
    return history;
  }

  private boolean runEpoch() throws IOException {
    step.model().train();
    progress.begin();
    int epoch = progress.epoch();
    int done = progress.batch();
    listeners.epochStarted(epoch + 1, epochs, train.batches(), done);
    try (Epoch data = train.epoch(epoch, done);
        DeviceBatches batches = new DeviceBatches(data.iterator(), device())) {
      while (batches.hasNext()) {
        try (Scope s = Scope.open()) {
          trainBatch(batches);
        }
        if (checkpoints.isDue()) {
          finishSteps();
          checkpoints.save(this::save);
        }
      }
      finishSteps();
    }
    double trainSeconds = progress.elapsed();
    Evaluation evaluation = test == null ? null : step.evaluate(test);
    EpochResult result =
        progress.endEpoch(
            trainSeconds,
            evaluation == null ? Double.NaN : evaluation.loss(),
            evaluation == null ? Double.NaN : evaluation.accuracy());
    history.add(result);
    double judged = evaluation == null ? result.trainLoss() : evaluation.loss();
    boolean stop =
        earlyStopping != null && earlyStopping.update(progress.epoch(), judged, step.model());
    if (plateau != null) {
      plateau.step(judged);
    }
    checkpoints.save(this::save);
    listeners.epochEnded(history, epochs);
    return stop;
  }

  private void trainBatch(DeviceBatches batches) {
    Batch data = batches.next();
    CapturedTraining steps = captured;
    if (steps != null) {
      steps.start(data);
      batches.bringNext();
      steps.collect(1);
      return;
    }
    TrainingStep.Trained trained = step.train(data.x(), data.y());
    // The step is under way; only item() waits for it.
    batches.bringNext();
    double mean = trained.loss().item();
    requireFinite(mean);
    Predictions predictions = Predictions.of(trained.logits(), data.y());
    long right = 0;
    for (int i = 0; i < predictions.size(); i++) {
      right += predictions.predicted(i) == predictions.label(i) ? 1 : 0;
    }
    count(mean, right, data.size());
  }

  private CapturedTraining capturedTraining() {
    return new CapturedTraining(
        device(),
        train.batchSize(),
        step::trainCaptured,
        (mean, right, size) -> {
          requireFinite(mean);
          count(mean, right, size);
        });
  }

  private Device device() {
    return Evaluation.deviceOf(step.model());
  }

  /** Collects the results of all captured steps that are under way. */
  private void finishSteps() {
    CapturedTraining steps = captured;
    if (steps == null) {
      return;
    }
    steps.finish();
    if (steps.isEager() && !saidEager) {
      saidEager = true;
      listeners.note(device() + " does not record steps: every step runs as without capture");
    }
  }

  private void requireFinite(double mean) {
    if (!Double.isFinite(mean)) {
      throw new GradusException(
          "[train] the loss became "
              + mean
              + " at epoch "
              + (progress.epoch() + 1)
              + ", batch "
              + (progress.batch() + 1)
              + ": lower the learning rate, or clip gradients");
    }
  }

  private void count(double mean, long right, int size) {
    progress.count(mean, right, size);
    listeners.batchTrained(progress.batch(), progress.loss(), progress.accuracy());
  }

  private void save(CheckpointData data) {
    step.save(data);
    progress.save(data);
    history.save(data);
    if (plateau != null) {
      data.putGroup("plateau", plateau.stateDict());
    }
    if (earlyStopping != null) {
      earlyStopping.save(data);
    }
  }

  private void load(CheckpointData data) {
    step.load(data);
    progress.load(data);
    history.load(data, progress.epoch());
    if (plateau != null) {
      plateau.loadStateDict(data.group("plateau"));
    }
    if (earlyStopping != null) {
      earlyStopping.load(data);
    }
  }

  /** Describes a run; see the methods for the defaults. */
  public static final class Builder {
    private final Module model;
    private final DataLoader train;
    private @Nullable DataLoader test;
    private @Nullable Optimizer optimizer;
    private @Nullable Schedule schedule;
    private @Nullable Plateau plateau;
    private BinaryOperator<Tensor> loss = Loss::crossEntropy;
    private int epochs = 1;
    private double clipNorm;
    private Precision precision = Precision.FLOAT32;
    private LossScaler.Options lossScale = LossScaler.Options.DEFAULT;
    private @Nullable EarlyStopping earlyStopping;
    private CheckpointOptions checkpoints = CheckpointOptions.NONE;
    private String identity = "";
    private boolean capture;
    private final List<TrainingListener> listeners = new ArrayList<>();

    private Builder(Module model, DataLoader train) {
      this.model = model;
      this.train = train;
    }

    /** Data to evaluate on after every epoch; default none. */
    public Builder test(DataLoader loader) {
      test = loader;
      return this;
    }

    /** What updates the parameters; required. */
    public Builder optimizer(Optimizer value) {
      optimizer = value;
      return this;
    }

    /** Learning rates by the number of the batch, over all epochs; default constant. */
    public Builder schedule(Schedule value) {
      schedule = value;
      return this;
    }

    /** Lowers the rate when the loss on the test set no longer falls; default not. */
    public Builder plateau(Plateau value) {
      plateau = value;
      return this;
    }

    /** From logits and labels to the batch's mean loss; default cross-entropy. */
    public Builder loss(BinaryOperator<Tensor> value) {
      loss = value;
      return this;
    }

    /** How often the data set is gone through; default 1. */
    public Builder epochs(int value) {
      Checks.argument(value >= 1, "[train] epochs must be at least 1, not %d", value);
      epochs = value;
      return this;
    }

    /** Limits the norm of all gradients together; default 0, which does not. */
    public Builder clipNorm(double value) {
      Checks.argument(value >= 0, "[train] the clipping norm %s must not be negative", value);
      clipNorm = value;
      return this;
    }

    /**
     * The type to compute in, for training and the evaluation of the test set; default FLOAT32.
     * Weights stay FLOAT32. With FP16 the loss is scaled, and a step whose gradients overflow is
     * left out.
     */
    public Builder precision(Precision value) {
      precision = value;
      return this;
    }

    /** How the scale of the loss is found with FP16; without effect otherwise. */
    public Builder lossScale(LossScaler.Options value) {
      lossScale = value;
      return this;
    }

    /** When to stop before the last epoch; default never. */
    public Builder earlyStopping(EarlyStopping value) {
      earlyStopping = value;
      return this;
    }

    /** Folder for checkpoints; default none are written. */
    public Builder checkpoints(Path folder) {
      checkpoints = checkpoints.withFolder(folder);
      return this;
    }

    /** Least time between checkpoints within an epoch; default 30 s. */
    public Builder checkpointEvery(Duration value) {
      checkpoints = checkpoints.withEvery(value);
      return this;
    }

    /** Whether to continue from the newest checkpoint of the folder, if there is one. */
    public Builder resume(boolean value) {
      checkpoints = checkpoints.withResume(value);
      return this;
    }

    /**
     * What the run is, such as its options: a checkpoint of another identity is not resumed.
     * Default empty.
     */
    public Builder identity(String value) {
      identity = value;
      return this;
    }

    /**
     * Whether to record the step and repeat it in one call, see {@link
     * io.gradus.tensor.CapturedStep}; default false. Results are the same, bit for bit; a loss that
     * is no longer finite is found out one step later. Devices that record nothing run every step
     * as without.
     */
    public Builder capture(boolean value) {
      capture = value;
      return this;
    }

    /** Adds someone to tell how it goes. */
    public Builder listener(TrainingListener value) {
      listeners.add(value);
      return this;
    }

    /**
     * The run.
     *
     * @throws IllegalStateException when there is no optimizer, or a schedule beside a plateau
     */
    public Trainer build() {
      Optimizer o = optimizer;
      if (o == null) {
        throw new IllegalStateException("[train] there is no optimizer: give one with optimizer()");
      }
      Checks.state(
          schedule == null || plateau == null,
          "[train] a schedule and a plateau would both set the learning rate: give one of them");
      return new Trainer(this, o);
    }
  }
}
