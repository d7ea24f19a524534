package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.GradusException;
import io.gradus.core.Shape;
import io.gradus.data.Dataset;
import io.gradus.data.Standardise;
import io.gradus.data.TrainTest;
import io.gradus.nn.Module;
import io.gradus.optim.Lookahead;
import io.gradus.optim.Optimizer;
import io.gradus.optim.SGD;
import io.gradus.optim.Schedule;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.AugmentOptions;
import io.gradus.tensor.CapturedStep;
import io.gradus.tensor.CrossEntropyOptions;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Image;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Readback;
import io.gradus.tensor.Reduction;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

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
  /**
   * What may differ.
   *
   * @param epochs how often the images are gone through; parts of an epoch count
   * @param batch samples a step; the rates are made for 1024
   * @param steps ends after so many steps; 0 for all
   * @param widths channels of the three groups
   * @param precision type of the products
   * @param seed seed of weights, order and augmentation
   */
  public record Options(
      double epochs, int batch, long steps, List<Integer> widths, Precision precision, long seed) {
    /** The paper's: 9.9 epochs of batches of 1024, widths 64, 256 and 256; in FLOAT32. */
    public static final Options DEFAULT =
        new Options(9.9, 1024, 0, List.of(64, 256, 256), Precision.FLOAT32, 0);

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
      return new Options(value, batch, steps, widths, precision, seed);
    }

    /** These with another batch size. */
    public Options withBatch(int value) {
      return new Options(epochs, value, steps, widths, precision, seed);
    }

    /** These with another limit of steps. */
    public Options withSteps(long value) {
      return new Options(epochs, batch, value, widths, precision, seed);
    }

    /** These with other widths. */
    public Options withWidths(List<Integer> value) {
      return new Options(epochs, batch, steps, value, precision, seed);
    }

    /** These with another precision. */
    public Options withPrecision(Precision value) {
      return new Options(epochs, batch, steps, widths, value, seed);
    }

    /** These with another seed. */
    public Options withSeed(long value) {
      return new Options(epochs, batch, steps, widths, precision, value);
    }
  }

  private static final Shape SAMPLE = Shape.of(32, 32, 3);
  private static final double MOMENTUM = 0.85;

  /** Learning rate for 1024 samples, before the momentum is taken into account. */
  private static final double RATE = 11.5;

  private static final double WEIGHT_DECAY = 0.0153;
  private static final double BIAS_FACTOR = 64;
  private static final double SMOOTHING = 0.2;
  private static final double WHITENING_BIAS_EPOCHS = 3;
  private static final int WHITENING_IMAGES = 5000;
  private static final double WHITENING_EPS = 5e-4;
  private static final int MOVE = 2;
  private static final int LOOKAHEAD_STEPS = 5;
  private static final double LOOKAHEAD_DECAY = 0.95;
  private static final int EVALUATION_BATCH = 500;

  private final Device device;
  private final Options options;
  private final TestTimeAverage test;
  private final int count;
  private final int[] labels;
  private final Tensor images;
  private final Tensor mean;
  private final Tensor std;
  private final CifarFastNetwork network;
  private final Optimizer optimizer;
  private final Scheduler scheduler;
  private final Lookahead lookahead;
  private final long perEpoch;
  private final long total;
  private final History history = new History();

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
    this.count = train.size();
    this.labels = new int[count];
    for (int i = 0; i < count; i++) {
      labels[i] = train.label(i);
    }
    Generator.seed(options.seed);
    Standardise statistics = Standardise.learn(train);
    try (Scope s = Scope.open()) {
      images = Scope.escape(alternating(train));
      mean = Scope.escape(Tensor.of(statistics.mean()).to(device));
      std = Scope.escape(Tensor.of(statistics.std()).to(device));
    }
    network =
        new CifarFastNetwork(
            options.widths.stream().mapToInt(Integer::intValue).toArray(),
            train.classes(),
            whitening(train, statistics));
    network.to(device);
    test = new TestTimeAverage(data.test(), statistics, EVALUATION_BATCH);
    perEpoch = count / options.batch;
    long all = Math.max(1, Math.round(Math.ceil(options.epochs * perEpoch)));
    total = options.steps == 0 ? all : Math.min(all, options.steps);
    optimizer = optimizer();
    scheduler = new Scheduler(optimizer, triangle(all));
    List<Tensor> averaged = new ArrayList<>(network.parameters());
    averaged.addAll(network.namedBuffers().values());
    lookahead = new Lookahead(averaged);
  }

  /** Rate and decay are per sample, as the loss is a sum, and for momentum in the long run. */
  private Optimizer optimizer() {
    double kilo = 1024 * (1 + 1 / (1 - MOMENTUM));
    double rate = RATE / kilo;
    double decay = WEIGHT_DECAY * options.batch / kilo;
    List<Tensor> biases = network.normBiases();
    List<Tensor> others = new ArrayList<>();
    for (Tensor parameter : network.parameters()) {
      if (parameter.requiresGrad() && biases.stream().noneMatch(b -> b == parameter)) {
        others.add(parameter);
      }
    }
    SGD sgd = new SGD(others, settings(rate, decay / rate));
    sgd.add(biases, settings(rate * BIAS_FACTOR, decay / (rate * BIAS_FACTOR)));
    return sgd;
  }

  private static SGD.Options settings(double rate, double decay) {
    return SGD.Options.of(rate).withMomentum(MOMENTUM).withNesterov(true).withWeightDecay(decay);
  }

  /** From 0.2 of the rate up to all of it at 0.23 of the steps, then down to 0.07. */
  static Schedule triangle(long steps) {
    double peak = Math.floor(0.23 * steps);
    return (base, step) ->
        base
            * (step < peak
                ? 0.2 + 0.8 * step / peak
                : 1 - 0.93 * Math.min(1, (step - peak) / Math.max(1, steps - peak)));
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

  /**
   * The images, a random half of them mirrored, and behind them the same mirrored once more: even
   * epochs read the first, odd ones the second, so that every two epochs see both sides.
   */
  private Tensor alternating(Dataset train) {
    SplittableRandom random = new SplittableRandom(options.seed);
    int size = (int) SAMPLE.numel();
    byte[] both = new byte[Math.multiplyExact(2 * size, count)];
    float[] values = new float[size];
    for (int i = 0; i < count; i++) {
      train.read(i, values, 0);
      int first = random.nextBoolean() ? i : i + count;
      TestTimeAverage.copy(values, both, first * size, 0, 0, false);
      TestTimeAverage.copy(values, both, (first < count ? i + count : i) * size, 0, 0, true);
    }
    return Tensor.of(both, 2L * count, 32, 32, 3).to(device);
  }

  /** The network. */
  public Module network() {
    return network;
  }

  /** How many steps the run has. */
  public long steps() {
    return total;
  }

  /**
   * Trains, and tests after every epoch.
   *
   * @param listeners are told how it goes
   * @return the results; those of the last epoch are the run's
   * @throws IOException when a listener cannot write
   * @throws GradusException when the loss is no longer finite
   */
  public History fit(List<? extends TrainingListener> listeners) throws IOException {
    int epochs = (int) ((total + perEpoch - 1) / perEpoch);
    network.train();
    try (Readback results = new Readback(device, DType.FLOAT64, Shape.of(2))) {
      CapturedStep step = CapturedStep.of(device, this::train);
      try {
        for (int epoch = 0; epoch < epochs; epoch++) {
          if (epoch == WHITENING_BIAS_EPOCHS) {
            network.whiteningBias().requiresGrad(false);
            step.close();
            step = CapturedStep.of(device, this::train);
          }
          runEpoch(epoch, epochs, step, results, listeners);
        }
      } finally {
        step.close();
      }
    }
    return history;
  }

  private void runEpoch(
      int epoch,
      int epochs,
      CapturedStep step,
      Readback results,
      List<? extends TrainingListener> listeners)
      throws IOException {
    long began = System.nanoTime();
    long first = epoch * perEpoch;
    int batches = (int) Math.min(perEpoch, total - first);
    listeners.forEach(l -> l.epochStarted(epoch + 1, epochs, batches, 0));
    int[] order = order(epoch);
    double lossSum = 0;
    double right = 0;
    int seen = 0;
    for (int b = 0; b < batches; b++) {
      try (Scope s = Scope.open()) {
        long[] index = new long[options.batch];
        long[] label = new long[options.batch];
        for (int i = 0; i < index.length; i++) {
          int sample = order[b * options.batch + i];
          index[i] = sample + (epoch % 2 == 0 ? 0L : count);
          label[i] = labels[sample];
        }
        results.start(step.run(Tensor.of(index).to(device), Tensor.of(label).to(device))[0]);
      }
      slowDown(first + b + 1);
      lossSum += finite(results.get(0), epoch, b);
      right += results.get(1);
      seen += options.batch;
      double mean = lossSum / seen;
      double accuracy = right / seen;
      int done = b + 1;
      listeners.forEach(l -> l.batchTrained(done, mean, accuracy));
    }
    step.check();
    double seconds = (System.nanoTime() - began) * 1e-9;
    Evaluation evaluation;
    try (Precision.Guard g = options.precision.use()) {
      evaluation = test.evaluate(network, device);
    }
    history.add(
        new EpochResult(
            epoch + 1,
            lossSum / seen,
            right / seen,
            evaluation.loss(),
            evaluation.accuracy(),
            seen / Math.max(1e-9, seconds),
            (System.nanoTime() - began) * 1e-9));
    for (TrainingListener listener : listeners) {
      listener.epochEnded(history, epochs);
    }
  }

  private static double finite(double loss, int epoch, int batch) {
    if (!Double.isFinite(loss)) {
      throw new GradusException(
          "[cifar10-fast] the loss became "
              + loss
              + " at epoch "
              + (epoch + 1)
              + ", batch "
              + (batch + 1)
              + ": use larger batches, or float32");
    }
    return loss;
  }

  private int[] order(int epoch) {
    SplittableRandom random = new SplittableRandom(options.seed * 31 + epoch + 1);
    int[] order = new int[count];
    for (int i = 0; i < count; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }

  /** Every five steps the slow weights follow, ever more slowly; at the end they are the result. */
  private void slowDown(long step) {
    if (step == total) {
      lookahead.update(1);
    } else if (step % LOOKAHEAD_STEPS == 0) {
      double progress = step / (double) total;
      lookahead.update(Math.pow(LOOKAHEAD_DECAY, LOOKAHEAD_STEPS) * Math.pow(progress, 3));
    }
  }

  /** One step, from image numbers and labels to the sum of losses and the right answers. */
  private Tensor[] train(Tensor[] in) {
    boolean half = options.precision == Precision.BF16;
    AugmentOptions augment =
        AugmentOptions.DEFAULT
            .withTranslate(MOVE)
            .withReflect(true)
            .withDType(half ? DType.BFLOAT16 : DType.FLOAT32);
    Tensor logits;
    Tensor loss;
    try (Precision.Guard g = options.precision.use()) {
      Tensor x = Image.augment(images, in[0], mean, std, augment);
      logits = network.call(x);
      loss =
          Loss.crossEntropy(
              logits,
              in[1],
              CrossEntropyOptions.defaults().labelSmoothing(SMOOTHING).reduction(Reduction.SUM));
      optimizer.zeroGrad();
      loss.backward();
    }
    optimizer.step();
    scheduler.step();
    try (GradMode.Guard g = GradMode.noGrad()) {
      Tensor right = logits.argmax(-1).eq(in[1]).to(DType.FLOAT64).sum();
      return new Tensor[] {Tensor.stack(0, loss.detach().to(DType.FLOAT64), right)};
    }
  }
}
