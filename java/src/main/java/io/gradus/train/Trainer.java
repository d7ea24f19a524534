package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.GradusException;
import io.gradus.data.Batch;
import io.gradus.data.DataLoader;
import io.gradus.data.Epoch;
import io.gradus.io.Checkpoint;
import io.gradus.io.CheckpointData;
import io.gradus.metrics.Predictions;
import io.gradus.nn.Module;
import io.gradus.optim.Clip;
import io.gradus.optim.LossScaler;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Plateau;
import io.gradus.optim.Schedule;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
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
  private final Module model;
  private final DataLoader train;
  private final @Nullable DataLoader test;
  private final Optimizer optimizer;
  private final @Nullable Scheduler scheduler;
  private final @Nullable Plateau plateau;
  private final BinaryOperator<Tensor> loss;
  private final int epochs;
  private final double clipNorm;
  private final Precision precision;
  private final @Nullable LossScaler scaler;
  private final @Nullable EarlyStopping earlyStopping;
  private final @Nullable Path checkpoints;
  private final long checkpointNanos;
  private final boolean resume;
  private final String identity;
  private final List<TrainingListener> listeners;
  private final boolean capture;
  private final History history = new History();

  // Where the run stands; all of it is in a checkpoint.
  private int epoch;
  private int batch;
  private double lossSum;
  private long correct;
  private long seen;
  private double secondsBefore;

  private long lastCheckpoint;
  private @Nullable CapturedTraining captured;
  private boolean saidEager;

  private Trainer(Builder b, Optimizer optimizer) {
    this.model = b.model;
    this.train = b.train;
    this.test = b.test;
    this.optimizer = optimizer;
    this.scheduler = b.schedule == null ? null : new Scheduler(optimizer, b.schedule);
    this.plateau = b.plateau;
    this.loss = b.loss;
    this.epochs = b.epochs;
    this.clipNorm = b.clipNorm;
    this.precision = b.precision;
    this.scaler =
        b.precision == Precision.FP16
            ? new LossScaler(Evaluation.deviceOf(b.model), b.lossScale)
            : null;
    this.earlyStopping = b.earlyStopping;
    this.checkpoints = b.checkpoints;
    this.checkpointNanos = b.checkpointEvery.toNanos();
    this.resume = b.resume;
    this.identity = b.identity;
    this.listeners = List.copyOf(b.listeners);
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
    if (checkpoints != null && Checkpoint.exists(checkpoints)) {
      // Going on writing would delete the other run's checkpoints, oldest first.
      Checks.argument(
          resume,
          "[train] %s holds the checkpoints of a run: continue it with resume(true), or choose"
              + " another folder",
          checkpoints);
      restore(checkpoints);
    }
    lastCheckpoint = System.nanoTime();
    boolean stop = earlyStopping != null && earlyStopping.shouldStop();
    try (CapturedTraining steps = capture ? capturedTraining() : null) {
      captured = steps;
      while (epoch < epochs && !stop) {
        stop = runEpoch();
      }
    } finally {
      captured = null;
    }
    if (earlyStopping != null) {
      if (stop) {
        note(
            "stopped early after epoch "
                + epoch
                + ": no improvement since epoch "
                + earlyStopping.bestEpoch());
      }
      earlyStopping.restoreBest(model);
    }
    return history;
  }

  private boolean runEpoch() throws IOException {
    model.train();
    long began = System.nanoTime();
    long seenBefore = seen;
    listeners.forEach(l -> l.epochStarted(epoch + 1, epochs, train.batches(), batch));
    try (Epoch data = train.epoch(epoch, batch);
        DeviceBatches batches = new DeviceBatches(data.iterator(), Evaluation.deviceOf(model))) {
      while (batches.hasNext()) {
        try (Scope s = Scope.open()) {
          trainBatch(batches);
        }
        if (System.nanoTime() - lastCheckpoint > checkpointNanos) {
          finishSteps();
          checkpoint(secondsBefore + seconds(began));
        }
      }
      finishSteps();
    }
    double trainSeconds = seconds(began);
    Evaluation evaluation = test == null ? null : evaluate(test);
    EpochResult result =
        new EpochResult(
            epoch + 1,
            lossSum / Math.max(1, seen),
            (double) correct / Math.max(1, seen),
            evaluation == null ? Double.NaN : evaluation.loss(),
            evaluation == null ? Double.NaN : evaluation.accuracy(),
            (seen - seenBefore) / Math.max(1e-9, trainSeconds),
            secondsBefore + seconds(began));
    history.add(result);
    epoch++;
    batch = 0;
    lossSum = 0;
    correct = 0;
    seen = 0;
    secondsBefore = 0;
    boolean stop =
        earlyStopping != null
            && earlyStopping.update(
                epoch, evaluation == null ? result.trainLoss() : evaluation.loss(), model);
    if (plateau != null) {
      plateau.step(evaluation == null ? result.trainLoss() : evaluation.loss());
    }
    checkpoint(0);
    for (TrainingListener listener : listeners) {
      listener.epochEnded(history, epochs);
    }
    return stop;
  }

  private Evaluation evaluate(DataLoader data) {
    try (Precision.Guard g = precision.use()) {
      return Evaluation.of(model, data, loss);
    }
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
    Trained trained = train(data.x(), data.y());
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

  /** What a step gives. */
  private record Trained(Tensor logits, Tensor loss) {}

  /** One step: forward, loss, backward, clipping, optimizer and schedule; nothing waits for it. */
  private Trained train(Tensor x, Tensor y) {
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

  private CapturedTraining capturedTraining() {
    return new CapturedTraining(
        Evaluation.deviceOf(model),
        train.batchSize(),
        in -> {
          Trained trained = train(in[0], in[1]);
          try (GradMode.Guard g = GradMode.noGrad()) {
            Tensor right = trained.logits().argmax(-1).eq(in[1]).to(DType.FLOAT64).sum();
            Tensor mean = trained.loss().detach().to(DType.FLOAT64).reshape();
            return new Tensor[] {Tensor.stack(0, mean, right)};
          }
        },
        (mean, right, size) -> {
          requireFinite(mean);
          count(mean, right, size);
        });
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
      note(
          Evaluation.deviceOf(model)
              + " does not record steps: every step runs as without capture");
    }
  }

  private void requireFinite(double mean) {
    if (!Double.isFinite(mean)) {
      throw new GradusException(
          "[train] the loss became "
              + mean
              + " at epoch "
              + (epoch + 1)
              + ", batch "
              + (batch + 1)
              + ": lower the learning rate, or clip gradients");
    }
  }

  private void count(double mean, long right, int size) {
    correct += right;
    lossSum += mean * size;
    seen += size;
    batch++;
    listeners.forEach(l -> l.batchTrained(batch, lossSum / seen, (double) correct / seen));
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

  private static double seconds(long since) {
    return (System.nanoTime() - since) * 1e-9;
  }

  private void note(String message) {
    listeners.forEach(l -> l.note(message));
  }

  private void checkpoint(double epochSeconds) throws IOException {
    lastCheckpoint = System.nanoTime();
    if (checkpoints == null) {
      return;
    }
    // The states are handles on live tensors: the scope closes the handles.
    try (Scope s = Scope.open()) {
      Checkpoint.save(checkpoints, state(epochSeconds));
    }
  }

  private CheckpointData state(double epochSeconds) {
    CheckpointData data = new CheckpointData();
    data.putString("identity", identity)
        .putGroup("model", model.stateDict())
        .putGroup("optimizer", optimizer.stateDict())
        .putLong("generator.seed", Generator.current().seed())
        .putLong("generator.offset", Generator.current().offset())
        .putLong("epoch", epoch)
        .putLong("batch", batch)
        .putDouble("lossSum", lossSum)
        .putLong("correct", correct)
        .putLong("seen", seen)
        .putDouble("seconds", epochSeconds);
    if (scheduler != null) {
      data.putGroup("scheduler", scheduler.stateDict());
    }
    if (plateau != null) {
      data.putGroup("plateau", plateau.stateDict());
    }
    if (scaler != null) {
      data.putGroup("scaler", scaler.stateDict());
    }
    if (earlyStopping != null) {
      earlyStopping.save(data);
    }
    for (EpochResult e : history.epochs()) {
      String key = "history." + e.epoch() + ".";
      data.putDouble(key + "trainLoss", e.trainLoss())
          .putDouble(key + "trainAccuracy", e.trainAccuracy())
          .putDouble(key + "testLoss", e.testLoss())
          .putDouble(key + "testAccuracy", e.testAccuracy())
          .putDouble(key + "imagesPerSecond", e.imagesPerSecond())
          .putDouble(key + "seconds", e.seconds());
    }
    return data;
  }

  private void restore(Path folder) throws IOException {
    Checkpoint.Loaded loaded = Checkpoint.load(folder);
    loaded.skipped().forEach(this::note);
    try (CheckpointData data = loaded.data()) {
      String saved = data.getString("identity");
      Checks.argument(
          saved.equals(identity),
          "[resume] the checkpoint in %s is of another run (%s, not %s): repeat the options it was"
              + " started with, or choose another folder",
          folder,
          saved,
          identity);
      model.loadStateDict(data.group("model"));
      optimizer.loadStateDict(data.group("optimizer"));
      if (scheduler != null) {
        scheduler.loadStateDict(data.group("scheduler"));
      }
      if (plateau != null) {
        plateau.loadStateDict(data.group("plateau"));
      }
      if (scaler != null) {
        scaler.loadStateDict(data.group("scaler"));
      }
      Generator.use(
          new Generator(data.getLong("generator.seed"), data.getLong("generator.offset")));
      epoch = (int) data.getLong("epoch");
      batch = (int) data.getLong("batch");
      lossSum = data.getDouble("lossSum");
      correct = data.getLong("correct");
      seen = data.getLong("seen");
      secondsBefore = data.getDouble("seconds");
      if (earlyStopping != null) {
        earlyStopping.load(data);
      }
      for (int i = 1; i <= epoch; i++) {
        String key = "history." + i + ".";
        history.add(
            new EpochResult(
                i,
                data.getDouble(key + "trainLoss"),
                data.getDouble(key + "trainAccuracy"),
                data.getDouble(key + "testLoss"),
                data.getDouble(key + "testAccuracy"),
                data.getDouble(key + "imagesPerSecond"),
                data.getDouble(key + "seconds")));
      }
    }
    note(
        batch == 0
            ? "resumed after epoch " + epoch
            : "resumed in epoch " + (epoch + 1) + " after batch " + batch);
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
    private @Nullable Path checkpoints;
    private Duration checkpointEvery = Duration.ofSeconds(30);
    private boolean resume;
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
      checkpoints = folder;
      return this;
    }

    /** Least time between checkpoints within an epoch; default 30 s. */
    public Builder checkpointEvery(Duration value) {
      checkpointEvery = value;
      return this;
    }

    /** Whether to continue from the newest checkpoint of the folder, if there is one. */
    public Builder resume(boolean value) {
      resume = value;
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
