package io.gradus.train;

import io.gradus.core.Device;
import io.gradus.core.GradusException;
import io.gradus.data.Batch;
import io.gradus.io.CheckpointData;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The loop that recipes share: captured steps whose results are read one step late, a test and a
 * checkpoint after every epoch, checkpoints in between by the clock. A run that was killed and is
 * resumed ends with the same bits as one that was not.
 */
final class RecipeLoop {
  /** What a recipe does in the loop. */
  interface Recipe {
    /** For messages. */
    String name();

    /** What the run is: its options and data. */
    String identity();

    /** How many epochs the run has; the last one may be shorter. */
    int epochs();

    /** Batches of an epoch, numbered from 0. */
    int batches(int epoch);

    /**
     * Prepares an epoch, or the rest of one.
     *
     * @return whether {@link #train} does something else since: then it is captured anew
     */
    boolean begin(int epoch);

    /** A batch on the device, all of one size. */
    Batch batch(int epoch, int index);

    /** Trains on {x, y} of a batch and gives FLOAT64 [2]: mean loss, number of right answers. */
    Tensor[] train(Tensor[] in);

    /** Is told that the step of a batch was started: what else belongs to it can be enqueued. */
    void started(int epoch, int index);

    /** How the network does after an epoch. */
    Tested test();

    /** Adds everything that a step changes. */
    void save(CheckpointData data);

    /** Takes what {@link #save} gave. */
    void load(CheckpointData data);
  }

  /**
   * Results of a test.
   *
   * @param loss mean loss
   * @param accuracy share of right answers
   */
  record Tested(double loss, double accuracy) {}

  private final Recipe recipe;
  private final Device device;
  private final int batchSize;
  private final Progress progress;
  private final History history = new History();
  private TrainingListener listeners = new Listeners(List.of());

  /**
   * A loop.
   *
   * @param batchSize labels of a batch
   * @param answers labels of a sample
   */
  RecipeLoop(Recipe recipe, Device device, int batchSize, int answers) {
    this.recipe = recipe;
    this.device = device;
    this.batchSize = batchSize;
    this.progress = new Progress(answers);
  }

  /**
   * Trains to the end.
   *
   * @throws IOException when a listener or a checkpoint cannot write
   * @throws io.gradus.core.ArgumentException when the checkpoints are of another run
   * @throws GradusException when the loss is no longer finite
   */
  History fit(List<? extends TrainingListener> told, CheckpointOptions options) throws IOException {
    listeners = new Listeners(List.copyOf(told));
    RunCheckpoints checkpoints = new RunCheckpoints(options, recipe.identity());
    if (checkpoints.restore(this::load, listeners::note)) {
      listeners.note(progress.resumed());
    }
    @Nullable CapturedTraining steps = null;
    try {
      while (progress.epoch() < recipe.epochs()) {
        boolean changed = recipe.begin(progress.epoch());
        if (steps != null && changed) {
          steps.close();
        }
        if (steps == null || changed) {
          steps = new CapturedTraining(device, batchSize, recipe::train, this::count);
        }
        runEpoch(steps, checkpoints);
      }
    } finally {
      if (steps != null) {
        steps.close();
      }
    }
    return history;
  }

  private void runEpoch(CapturedTraining steps, RunCheckpoints checkpoints) throws IOException {
    progress.begin();
    int epoch = progress.epoch();
    int batches = recipe.batches(epoch);
    listeners.epochStarted(epoch + 1, recipe.epochs(), batches, progress.batch());
    for (int b = progress.batch(); b < batches; b++) {
      try (Scope s = Scope.open()) {
        steps.start(recipe.batch(epoch, b));
        recipe.started(epoch, b);
      }
      steps.collect(1);
      if (checkpoints.isDue()) {
        steps.finish();
        checkpoints.save(this::save);
      }
    }
    steps.finish();
    double trainSeconds = progress.elapsed();
    Tested tested = recipe.test();
    history.add(progress.endEpoch(trainSeconds, tested.loss(), tested.accuracy()));
    checkpoints.save(this::save);
    listeners.epochEnded(history, recipe.epochs());
  }

  private void count(double mean, long right, int size) {
    if (!Double.isFinite(mean)) {
      throw new GradusException(
          "["
              + recipe.name()
              + "] the loss became "
              + mean
              + " at epoch "
              + (progress.epoch() + 1)
              + ", batch "
              + (progress.batch() + 1)
              + ": try larger batches, or float32");
    }
    progress.count(mean, right, size);
    listeners.batchTrained(progress.batch(), progress.loss(), progress.accuracy());
  }

  private void save(CheckpointData data) {
    recipe.save(data);
    progress.save(data);
    history.save(data);
  }

  private void load(CheckpointData data) {
    recipe.load(data);
    progress.load(data);
    history.load(data, progress.epoch());
  }
}
