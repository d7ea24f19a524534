package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.data.Batch;
import io.gradus.data.Dataset;
import io.gradus.data.Standardise;
import io.gradus.data.TrainTest;
import io.gradus.io.CheckpointData;
import io.gradus.nn.Module;
import io.gradus.optim.Lookahead;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.AugmentOptions;
import io.gradus.tensor.CrossEntropyOptions;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Image;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Reduction;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A small network that learns CIFAR-10 in ten epochs: whitened patches, three groups of two
 * convolutions, batch norms whose scale is fixed, alternating mirroring, moves of two pixels,
 * Nesterov momentum with slow weights, and the mean over mirrored and moved copies at test time.
 * The images lie on the device, and the step is captured.
 *
 * <p>Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, 2024; the
 * numbers are those of its airbench94.
 *
 * <pre>{@code
 * CifarFast recipe = new CifarFast(Datasets.open(folder), Device.best(), CifarFast.Options.DEFAULT);
 * double accuracy = recipe.fit(List.of()).last().testAccuracy();
 * }</pre>
 */
public final class CifarFast {
  /** What updates the filters of the convolutions. */
  public enum Method {
    /** Nesterov momentum, as in the paper. */
    SGD,
    /** {@link io.gradus.optim.Muon}, at a rate made for this network. */
    MUON
  }

  /**
   * What may differ.
   *
   * @param epochs how often the images are gone through; parts of an epoch count
   * @param batch samples a step; the rates are made for 1024
   * @param steps ends after so many steps; 0 for all
   * @param widths channels of the three groups
   * @param method what updates the filters; all else is always updated by SGD
   * @param precision type of the products
   * @param seed seed of weights, order and augmentation
   */
  public record Options(
      double epochs,
      int batch,
      long steps,
      List<Integer> widths,
      Method method,
      Precision precision,
      long seed) {
    /** The paper's: 9.9 epochs of batches of 1024, widths 64, 256 and 256; in FLOAT32. */
    public static final Options DEFAULT =
        new Options(9.9, 1024, 0, List.of(64, 256, 256), Method.SGD, Precision.FLOAT32, 0);

    /** Checks the ranges. */
    public Options {
      Checks.argument(
          epochs > 0 && epochs < 1e6, "[cifar10-fast] epochs must be positive: %s", epochs);
      Checks.argument(
          batch >= 2, "[cifar10-fast] a batch of %d samples: must be at least 2", batch);
      Checks.argument(steps >= 0, "[cifar10-fast] %d steps: must not be negative", steps);
      Checks.argument(
          widths.size() == 3 && widths.stream().allMatch(w -> w > 0),
          "[cifar10-fast] widths %s: must be three positive numbers",
          widths);
      Checks.argument(
          precision != Precision.FP16,
          "[cifar10-fast] fp16 would need a loss scale: choose bf16, which has float32's range");
      widths = List.copyOf(widths);
    }

    /** These with another number of epochs. */
    public Options withEpochs(double value) {
      return new Options(value, batch, steps, widths, method, precision, seed);
    }

    /** These with another batch size. */
    public Options withBatch(int value) {
      return new Options(epochs, value, steps, widths, method, precision, seed);
    }

    /** These with another limit of steps. */
    public Options withSteps(long value) {
      return new Options(epochs, batch, value, widths, method, precision, seed);
    }

    /** These with other widths. */
    public Options withWidths(List<Integer> value) {
      return new Options(epochs, batch, steps, value, method, precision, seed);
    }

    /** These with another method. */
    public Options withMethod(Method value) {
      return new Options(epochs, batch, steps, widths, value, precision, seed);
    }

    /** These with another precision. */
    public Options withPrecision(Precision value) {
      return new Options(epochs, batch, steps, widths, method, value, seed);
    }

    /** These with another seed. */
    public Options withSeed(long value) {
      return new Options(epochs, batch, steps, widths, method, precision, value);
    }
  }

  private static final Shape SAMPLE = Shape.of(32, 32, 3);
  private static final double SMOOTHING = 0.2;
  private static final int WHITENING_BIAS_EPOCHS = 3;
  private static final int WHITENING_IMAGES = 5000;
  private static final double WHITENING_EPS = 5e-4;
  private static final int MOVE = 2;
  private static final int LOOKAHEAD_STEPS = 5;
  private static final double LOOKAHEAD_DECAY = 0.95;
  private static final int EVALUATION_BATCH = 500;

  private final Device device;
  private final Options options;
  private final String data;
  private final TestTimeAverage test;
  private final AlternatingImages images;
  private final Tensor mean;
  private final Tensor std;
  private final CifarFastNetwork network;
  private final Optimizer optimizer;
  private final Scheduler scheduler;
  private final Lookahead lookahead;
  private final int perEpoch;
  private final long total;

  /**
   * A run.
   *
   * @param data images of 32 x 32 pixels and three channels
   * @param device where to compute
   * @param options numbers
   * @throws io.gradus.core.ShapeException when the images are others
   * @throws io.gradus.core.ArgumentException when there are fewer than a batch
   */
  public CifarFast(TrainTest data, Device device, Options options) {
    Dataset train = data.train();
    Checks.shape(
        train.sampleShape().equals(SAMPLE),
        "[cifar10-fast] needs images of shape %s, and those of %s are %s",
        SAMPLE,
        train.name(),
        train.sampleShape());
    Checks.argument(
        train.size() >= options.batch,
        "[cifar10-fast] %s has %d images, less than a batch of %d: choose a smaller batch",
        train.name(),
        train.size(),
        options.batch);
    this.device = device;
    this.options = options;
    this.data = train.name() + ", " + train.size();
    Generator.seed(options.seed);
    Standardise statistics = Standardise.learn(train);
    try (Scope s = Scope.open()) {
      mean = Scope.escape(Tensor.of(statistics.mean()).to(device));
      std = Scope.escape(Tensor.of(statistics.std()).to(device));
    }
    images = new AlternatingImages(train, device, options.seed);
    network =
        new CifarFastNetwork(
            options.widths.stream().mapToInt(Integer::intValue).toArray(),
            train.classes(),
            whitening(train, statistics));
    network.to(device);
    test = new TestTimeAverage(data.test(), statistics, EVALUATION_BATCH, device);
    perEpoch = train.size() / options.batch;
    long all = Math.max(1, Math.round(Math.ceil(options.epochs * perEpoch)));
    total = options.steps == 0 ? all : Math.min(all, options.steps);
    optimizer = CifarFastRates.optimizer(network, options);
    scheduler = new Scheduler(optimizer, CifarFastRates.triangle(all));
    List<Tensor> averaged = new ArrayList<>(network.parameters());
    averaged.addAll(network.namedBuffers().values());
    lookahead = new Lookahead(averaged);
  }

  private static float[] whitening(Dataset train, Standardise statistics) {
    int used = Math.min(WHITENING_IMAGES, train.size());
    int size = (int) SAMPLE.numel();
    float[] values = new float[used * size];
    for (int i = 0; i < used; i++) {
      train.read(i, values, i * size);
      statistics.apply(values, i * size, (i + 1) * size);
    }
    return Whitening.filters(values, used, 32, 32, 3, CifarFastNetwork.PATCH, WHITENING_EPS);
  }

  /** The network. */
  public Module network() {
    return network;
  }

  /** How many steps the run has. */
  public long steps() {
    return total;
  }

  /** As {@link #fit(List, CheckpointOptions)}, without checkpoints. */
  public History fit(List<? extends TrainingListener> listeners) throws IOException {
    return fit(listeners, CheckpointOptions.NONE);
  }

  /**
   * Trains, and tests after every epoch.
   *
   * @param listeners are told how it goes
   * @param checkpoints where to keep checkpoints; a resumed run ends with the same bits
   * @return the results; those of the last epoch are the run's
   * @throws IOException when a listener or a checkpoint cannot be written, or it cannot be read
   * @throws io.gradus.core.ArgumentException when the checkpoints are of another run
   * @throws io.gradus.core.GradusException when the loss is no longer finite
   */
  public History fit(List<? extends TrainingListener> listeners, CheckpointOptions checkpoints)
      throws IOException {
    return new RecipeLoop(new Steps(), device, options.batch, 1).fit(listeners, checkpoints);
  }

  /** What the loop asks for. */
  private final class Steps implements RecipeLoop.Recipe {
    @Override
    public String name() {
      return "cifar10-fast";
    }

    @Override
    public String identity() {
      return name() + " " + options + " data=" + data;
    }

    @Override
    public int epochs() {
      return (int) ((total + perEpoch - 1) / perEpoch);
    }

    @Override
    public int batches(int epoch) {
      return (int) Math.min(perEpoch, total - (long) epoch * perEpoch);
    }

    @Override
    public boolean begin(int epoch) {
      network.train();
      images.shuffle(epoch);
      Tensor bias = network.whiteningBias();
      boolean learns = epoch < WHITENING_BIAS_EPOCHS;
      boolean changes = bias.requiresGrad() != learns;
      bias.requiresGrad(learns);
      return changes;
    }

    @Override
    public Batch batch(int epoch, int index) {
      return images.batch(index, options.batch);
    }

    @Override
    public Tensor[] train(Tensor[] in) {
      return step(in[0], in[1]);
    }

    /**
     * Every five steps the slow weights follow, ever more slowly; at the end they are the result.
     */
    @Override
    public void started(int epoch, int index) {
      long step = (long) epoch * perEpoch + index + 1;
      if (step == total) {
        lookahead.update(1);
      } else if (step % LOOKAHEAD_STEPS == 0) {
        double progress = step / (double) total;
        lookahead.update(Math.pow(LOOKAHEAD_DECAY, LOOKAHEAD_STEPS) * Math.pow(progress, 3));
      }
    }

    @Override
    public RecipeLoop.Tested test() {
      try (Precision.Guard g = options.precision.use()) {
        Evaluation evaluation = test.evaluate(network);
        return new RecipeLoop.Tested(evaluation.loss(), evaluation.accuracy());
      }
    }

    @Override
    public void save(CheckpointData state) {
      state
          .putGroup("model", network.stateDict())
          .putGroup("optimizer", optimizer.stateDict())
          .putGroup("scheduler", scheduler.stateDict())
          .putGroup("lookahead", lookahead.stateDict());
    }

    @Override
    public void load(CheckpointData state) {
      network.loadStateDict(state.group("model"));
      optimizer.loadStateDict(state.group("optimizer"));
      scheduler.loadStateDict(state.group("scheduler"));
      lookahead.loadStateDict(state.group("lookahead"));
    }
  }

  /** One step, from image numbers and labels to the mean loss and the number of right answers. */
  private Tensor[] step(Tensor index, Tensor labels) {
    boolean half = options.precision == Precision.BF16;
    AugmentOptions augment =
        AugmentOptions.DEFAULT
            .withTranslate(MOVE)
            .withReflect(true)
            .withDType(half ? DType.BFLOAT16 : DType.FLOAT32);
    Tensor logits;
    Tensor loss;
    try (Precision.Guard g = options.precision.use()) {
      logits = network.call(Image.augment(images.images(), index, mean, std, augment));
      loss =
          Loss.crossEntropy(
              logits,
              labels,
              CrossEntropyOptions.defaults().labelSmoothing(SMOOTHING).reduction(Reduction.SUM));
      optimizer.zeroGrad();
      loss.backward();
    }
    optimizer.step();
    scheduler.step();
    try (GradMode.Guard g = GradMode.noGrad()) {
      Tensor right = logits.argmax(-1).eq(labels).to(DType.FLOAT64).sum();
      Tensor meanLoss = loss.detach().to(DType.FLOAT64).div(options.batch);
      return new Tensor[] {Tensor.stack(0, meanLoss, right)};
    }
  }
}
