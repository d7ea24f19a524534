package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.GradusException;
import io.gradus.core.Shape;
import io.gradus.data.CharText;
import io.gradus.nn.Module;
import io.gradus.optim.AdamOptions;
import io.gradus.optim.AdamW;
import io.gradus.optim.Clip;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Schedule;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.CapturedStep;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Readback;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A small decoder-only transformer that learns to go on with a text, character by character. The
 * first nine tenths of the text are learned from, the rest is tested on; the step is captured.
 *
 * <p>Source: Radford et al., "Language models are unsupervised multitask learners", 2019 (the
 * network); Karpathy, char-rnn, 2015 (the task).
 *
 * <pre>{@code
 * CharGpt recipe = new CharGpt(CharText.open(file), Device.best(), CharGpt.Options.SMALL);
 * recipe.fit(List.of());
 * System.out.println(recipe.sample(200));
 * }</pre>
 */
public final class CharGpt {
  /**
   * What may differ.
   *
   * @param steps steps of the run
   * @param limit ends after so many steps, with the rates of the whole run; 0 for all
   * @param interval steps between tests
   * @param batch excerpts a step
   * @param context characters of an excerpt, and how many are looked back on
   * @param layers blocks of attention and hidden layer
   * @param heads heads of the attention
   * @param width extent of the stream, a multiple of the heads
   * @param dropout probability of a zero
   * @param lr highest learning rate
   * @param precision type of the products
   * @param seed seed of weights, excerpts and dropout
   */
  public record Options(
      long steps,
      long limit,
      long interval,
      int batch,
      int context,
      int layers,
      int heads,
      int width,
      double dropout,
      double lr,
      Precision precision,
      long seed) {
    /** For a processor: 0.8 million parameters, 2000 steps of 12 excerpts of 64 characters. */
    public static final Options SMALL =
        new Options(2000, 0, 250, 12, 64, 4, 4, 128, 0, 1e-3, Precision.FLOAT32, 0);

    /**
     * For a GPU: 10.7 million parameters, 5000 steps of 64 excerpts of 256 characters, bfloat16.
     */
    public static final Options LARGE =
        new Options(5000, 0, 250, 64, 256, 6, 6, 384, 0.2, 1e-3, Precision.BF16, 0);

    /** Checks the ranges. */
    public Options {
      Checks.argument(
          steps > 0 && interval > 0 && limit >= 0,
          "[char-gpt] %d steps with a test every %d: must be positive",
          steps,
          interval);
      Checks.argument(
          batch > 0 && context > 0 && layers > 0,
          "[char-gpt] batch %d, context %d and layers %d must be positive",
          batch,
          context,
          layers);
      Checks.argument(
          precision != Precision.FP16,
          "[char-gpt] fp16 would need a loss scale: choose bf16, which has float32's range");
    }

    /** These with another number of steps. */
    public Options withSteps(long value) {
      return new Options(
          value, limit, interval, batch, context, layers, heads, width, dropout, lr, precision,
          seed);
    }

    /** These with a limit of steps. */
    public Options withLimit(long value) {
      return new Options(
          steps, value, interval, batch, context, layers, heads, width, dropout, lr, precision,
          seed);
    }

    /** These with another batch. */
    public Options withBatch(int value) {
      return new Options(
          steps, limit, interval, value, context, layers, heads, width, dropout, lr, precision,
          seed);
    }

    /** These with another network. */
    public Options withNetwork(int contextLength, int blocks, int headCount, int streamWidth) {
      return new Options(
          steps,
          limit,
          interval,
          batch,
          contextLength,
          blocks,
          headCount,
          streamWidth,
          dropout,
          lr,
          precision,
          seed);
    }

    /** These with another precision. */
    public Options withPrecision(Precision value) {
      return new Options(
          steps, limit, interval, batch, context, layers, heads, width, dropout, lr, value, seed);
    }

    /** These with another seed. */
    public Options withSeed(long value) {
      return new Options(
          steps, limit, interval, batch, context, layers, heads, width, dropout, lr, precision,
          value);
    }
  }

  private static final double TRAINING_SHARE = 0.9;
  private static final double WEIGHT_DECAY = 0.1;
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.99;
  private static final double CLIP = 1;
  private static final double LAST_RATE = 0.1;
  private static final int WARM_UP = 100;
  private static final int TEST_BATCHES = 8;

  private final CharText text;
  private final int[] train;
  private final int[] test;
  private final Device device;
  private final Options options;
  private final CharGptNetwork network;
  private final Optimizer optimizer;
  private final Scheduler scheduler;
  private final History history = new History();

  /**
   * A run.
   *
   * @throws io.gradus.core.ArgumentException when the text is shorter than the context needs
   */
  public CharGpt(CharText text, Device device, Options options) {
    this.text = text;
    this.device = device;
    this.options = options;
    int[] tokens = text.tokens();
    int cut = (int) (tokens.length * TRAINING_SHARE);
    this.train = Arrays.copyOf(tokens, cut);
    this.test = Arrays.copyOfRange(tokens, cut, tokens.length);
    Checks.argument(
        Math.min(train.length, test.length) > options.context,
        "[char-gpt] %s has %d characters, of which a tenth must be more than the context of %d",
        text.name(),
        tokens.length,
        options.context);
    Generator.seed(options.seed);
    network =
        new CharGptNetwork(
            text.vocabularySize(),
            options.context,
            options.layers,
            options.heads,
            options.width,
            options.dropout);
    network.to(device);
    List<Tensor> matrices = new ArrayList<>();
    List<Tensor> vectors = new ArrayList<>();
    for (Tensor parameter : network.parameters()) {
      (parameter.rank() >= 2 ? matrices : vectors).add(parameter);
    }
    AdamOptions settings = AdamOptions.of(options.lr).withBetas(BETA1, BETA2);
    AdamW adamW = new AdamW(matrices, settings.withWeightDecay(WEIGHT_DECAY));
    adamW.add(vectors, settings.withWeightDecay(0));
    optimizer = adamW;
    long warmUp = Math.min(WARM_UP, options.steps / 10);
    scheduler =
        new Scheduler(
            optimizer,
            Schedule.cosine(options.steps - warmUp, LAST_RATE * options.lr)
                .warmUp(warmUp, 1.0 / (warmUp + 1)));
  }

  /** The network. */
  public Module network() {
    return network;
  }

  /** How many steps the run has. */
  public long steps() {
    return options.limit == 0 ? options.steps : Math.min(options.steps, options.limit);
  }

  /**
   * Trains, and tests at intervals, which count as epochs.
   *
   * @param listeners are told how it goes
   * @return loss and share of characters that were predicted rightly
   * @throws IOException when a listener cannot write
   * @throws GradusException when the loss is no longer finite
   */
  public History fit(List<? extends TrainingListener> listeners) throws IOException {
    int intervals = (int) ((steps() + options.interval - 1) / options.interval);
    SplittableRandom places = new SplittableRandom(options.seed + 1);
    network.train();
    try (CapturedStep step = CapturedStep.of(device, this::step);
        Readback results = new Readback(device, DType.FLOAT64, Shape.of(2))) {
      for (int interval = 0; interval < intervals; interval++) {
        runInterval(interval, intervals, step, results, places, listeners);
      }
    }
    return history;
  }

  private void runInterval(
      int interval,
      int intervals,
      CapturedStep step,
      Readback results,
      SplittableRandom places,
      List<? extends TrainingListener> listeners)
      throws IOException {
    long began = System.nanoTime();
    int count = (int) Math.min(options.interval, steps() - interval * options.interval);
    listeners.forEach(l -> l.epochStarted(interval + 1, intervals, count, 0));
    double lossSum = 0;
    double right = 0;
    long each = (long) options.batch * options.context;
    for (int i = 0; i < count; i++) {
      try (Scope s = Scope.open()) {
        Tensor[] batch = excerpts(train, places);
        results.start(step.run(batch)[0]);
      }
      double loss = results.get(0);
      if (!Double.isFinite(loss)) {
        throw new GradusException(
            "[char-gpt] the loss became "
                + loss
                + " at step "
                + (interval * options.interval + i + 1)
                + ": lower the learning rate");
      }
      lossSum += loss;
      right += results.get(1);
      int done = i + 1;
      double mean = lossSum / done;
      double accuracy = right / (done * each);
      listeners.forEach(l -> l.batchTrained(done, mean, accuracy));
    }
    step.check();
    double seconds = (System.nanoTime() - began) * 1e-9;
    double[] tested = test();
    history.add(
        new EpochResult(
            interval + 1,
            lossSum / count,
            right / (count * each),
            tested[0],
            tested[1],
            (double) count * options.batch / Math.max(1e-9, seconds),
            (System.nanoTime() - began) * 1e-9));
    for (TrainingListener listener : listeners) {
      listener.epochEnded(history, intervals);
    }
  }

  /** Excerpts and what follows each of their characters, both [batch, context]. */
  private Tensor[] excerpts(int[] tokens, SplittableRandom places) {
    int length = options.context;
    long[] x = new long[options.batch * length];
    long[] y = new long[x.length];
    for (int b = 0; b < options.batch; b++) {
      int from = places.nextInt(tokens.length - length);
      for (int i = 0; i < length; i++) {
        x[b * length + i] = tokens[from + i];
        y[b * length + i] = tokens[from + i + 1];
      }
    }
    return new Tensor[] {
      Tensor.of(x, options.batch, length).to(device), Tensor.of(y, options.batch, length).to(device)
    };
  }

  private Tensor[] step(Tensor[] in) {
    Tensor logits;
    Tensor loss;
    try (Precision.Guard g = options.precision.use()) {
      logits = network.call(in[0]);
      loss = Loss.crossEntropy(logits, in[1]);
      optimizer.zeroGrad();
      loss.backward();
    }
    Clip.byNorm(network.parameters(), CLIP);
    optimizer.step();
    scheduler.step();
    return new Tensor[] {results(logits, loss, in[1])};
  }

  /** Mean loss and number of right answers. */
  private static Tensor results(Tensor logits, Tensor loss, Tensor y) {
    try (GradMode.Guard g = GradMode.noGrad()) {
      Tensor right = logits.argmax(-1).eq(y).to(DType.FLOAT64).sum();
      return Tensor.stack(0, loss.detach().to(DType.FLOAT64), right);
    }
  }

  /** Loss and share of right answers on some excerpts of the rest, the same each time. */
  private double[] test() {
    SplittableRandom places = new SplittableRandom(options.seed + 2);
    double loss = 0;
    double right = 0;
    network.eval();
    try (GradMode.Guard g = GradMode.noGrad();
        Precision.Guard p = options.precision.use()) {
      for (int i = 0; i < TEST_BATCHES; i++) {
        try (Scope s = Scope.open()) {
          Tensor[] batch = excerpts(test, places);
          Tensor logits = network.call(batch[0]);
          Tensor value = Loss.crossEntropy(logits, batch[1]);
          double[] both = results(logits, value, batch[1]).toDoubles();
          loss += both[0];
          right += both[1];
        }
      }
    } finally {
      network.train();
    }
    double count = TEST_BATCHES * (double) options.batch * options.context;
    return new double[] {loss / TEST_BATCHES, right / count};
  }

  /**
   * Text that the network makes up, each character drawn by its probability.
   *
   * @param length characters
   */
  public String sample(int length) {
    SplittableRandom random = new SplittableRandom(options.seed + 3);
    int[] made = new int[length + 1];
    made[0] = test[0];
    network.eval();
    try (GradMode.Guard g = GradMode.noGrad()) {
      for (int i = 1; i <= length; i++) {
        int from = Math.max(0, i - options.context);
        long[] seen = Arrays.stream(made, from, i).asLongStream().toArray();
        try (Scope s = Scope.open()) {
          Tensor logits = network.call(Tensor.of(seen, 1, seen.length).to(device));
          double[] scores = logits.select(0, 0).select(0, seen.length - 1L).toDoubles();
          made[i] = draw(scores, random.nextDouble());
        }
      }
    } finally {
      network.train();
    }
    return text.decode(Arrays.copyOfRange(made, 1, made.length));
  }

  /** The number at which the sum of the softmax's probabilities passes a share. */
  private static int draw(double[] scores, double share) {
    double highest = Arrays.stream(scores).max().orElse(0);
    double total = Arrays.stream(scores).map(x -> Math.exp(x - highest)).sum();
    double rest = share * total;
    for (int i = 0; i < scores.length; i++) {
      rest -= Math.exp(scores[i] - highest);
      if (rest < 0) {
        return i;
      }
    }
    return scores.length - 1;
  }
}
