package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.data.Batch;
import io.gradus.data.CharText;
import io.gradus.io.CheckpointData;
import io.gradus.optim.AdamOptions;
import io.gradus.optim.AdamW;
import io.gradus.optim.Clip;
import io.gradus.optim.ExponentialMovingAverage;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Schedule;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

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
 * System.out.println(recipe.model().sample(200, 0));
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
   * @param ema weight of the past in a moving average of the weights, which is what is tested and
   *     kept; 0 for the weights themselves
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
      double ema,
      Precision precision,
      long seed) {
    /** For a processor: 0.8 million parameters, 2000 steps of 12 excerpts of 64 characters. */
    public static final Options SMALL =
        new Options(2000, 0, 250, 12, 64, 4, 4, 128, 0, 1e-3, 0, Precision.FLOAT32, 0);

    /**
     * For a GPU: 10.7 million parameters, 5000 steps of 64 excerpts of 256 characters, bfloat16.
     */
    public static final Options LARGE =
        new Options(5000, 0, 250, 64, 256, 6, 6, 384, 0.2, 1e-3, 0, Precision.BF16, 0);

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
      Checks.argument(0 <= ema && ema < 1, "[char-gpt] ema %s must be in [0, 1)", ema);
      Checks.argument(
          precision != Precision.FP16,
          "[char-gpt] fp16 would need a loss scale: choose bf16, which has float32's range");
    }

    /** These with another number of steps. */
    public Options withSteps(long value) {
      return new Options(
          value, limit, interval, batch, context, layers, heads, width, dropout, lr, ema, precision,
          seed);
    }

    /** These with a limit of steps. */
    public Options withLimit(long value) {
      return new Options(
          steps, value, interval, batch, context, layers, heads, width, dropout, lr, ema, precision,
          seed);
    }

    /** These with another number of steps between tests. */
    public Options withInterval(long value) {
      return new Options(
          steps, limit, value, batch, context, layers, heads, width, dropout, lr, ema, precision,
          seed);
    }

    /** These with another batch. */
    public Options withBatch(int value) {
      return new Options(
          steps, limit, interval, value, context, layers, heads, width, dropout, lr, ema, precision,
          seed);
    }

    /** These with another network. */
    public Options withNetwork(int length, int blocks, int headCount, int streamWidth) {
      return new Options(
          steps,
          limit,
          interval,
          batch,
          length,
          blocks,
          headCount,
          streamWidth,
          dropout,
          lr,
          ema,
          precision,
          seed);
    }

    /** These with another dropout. */
    public Options withDropout(double value) {
      return new Options(
          steps, limit, interval, batch, context, layers, heads, width, value, lr, ema, precision,
          seed);
    }

    /** These with another moving average. */
    public Options withEma(double value) {
      return new Options(
          steps, limit, interval, batch, context, layers, heads, width, dropout, lr, value,
          precision, seed);
    }

    /** These with another precision. */
    public Options withPrecision(Precision value) {
      return new Options(
          steps, limit, interval, batch, context, layers, heads, width, dropout, lr, ema, value,
          seed);
    }

    /** These with another seed. */
    public Options withSeed(long value) {
      return new Options(
          steps, limit, interval, batch, context, layers, heads, width, dropout, lr, ema, precision,
          value);
    }
  }

  private static final double WEIGHT_DECAY = 0.1;
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.99;
  private static final double CLIP = 1;
  private static final double LAST_RATE = 0.1;
  private static final int WARM_UP = 100;
  private static final int TEST_BATCHES = 8;

  private final String data;
  private final Excerpts excerpts;
  private final Device device;
  private final Options options;
  private final CharGptNetwork network;
  private final Optimizer optimizer;
  private final Scheduler scheduler;
  private final @Nullable ExponentialMovingAverage average;
  private final CharGptModel model;

  /**
   * A run.
   *
   * @throws io.gradus.core.ArgumentException when the text is shorter than the context needs
   */
  public CharGpt(CharText text, Device device, Options options) {
    this.data = text.name() + ", " + text.tokens().length;
    this.device = device;
    this.options = options;
    this.excerpts = new Excerpts(text, options.batch, options.context, device);
    Generator.seed(options.seed);
    network =
        new CharGptNetwork(
            text.vocabulary().size(),
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
    average =
        options.ema == 0 ? null : new ExponentialMovingAverage(network.parameters(), options.ema);
    model = new CharGptModel(network, text.vocabulary(), device);
  }

  /** The network with its characters; after {@link #fit} with the averages, where they are kept. */
  public CharGptModel model() {
    return model;
  }

  /** How many steps the run has. */
  public long steps() {
    return options.limit == 0 ? options.steps : Math.min(options.steps, options.limit);
  }

  /** As {@link #fit(List, CheckpointOptions)}, without checkpoints. */
  public History fit(List<? extends TrainingListener> listeners) throws IOException {
    return fit(listeners, CheckpointOptions.NONE);
  }

  /**
   * Trains, and tests at intervals, which count as epochs.
   *
   * @param listeners are told how it goes
   * @param checkpoints where to keep checkpoints; a resumed run ends with the same bits
   * @return loss and share of characters that were predicted rightly
   * @throws IOException when a listener or a checkpoint cannot be written, or it cannot be read
   * @throws io.gradus.core.ArgumentException when the checkpoints are of another run
   * @throws io.gradus.core.GradusException when the loss is no longer finite
   */
  public History fit(List<? extends TrainingListener> listeners, CheckpointOptions checkpoints)
      throws IOException {
    int labels = Math.multiplyExact(options.batch, options.context);
    History history =
        new RecipeLoop(new Steps(), device, labels, options.context).fit(listeners, checkpoints);
    if (average != null) {
      average.apply();
    }
    return history;
  }

  /** What the loop asks for. */
  private final class Steps implements RecipeLoop.Recipe {
    @Override
    public String name() {
      return CharGptModel.RECIPE;
    }

    @Override
    public String identity() {
      return name() + " " + options + " data=" + data;
    }

    @Override
    public int epochs() {
      return (int) ((steps() + options.interval - 1) / options.interval);
    }

    @Override
    public int batches(int epoch) {
      return (int) Math.min(options.interval, steps() - epoch * options.interval);
    }

    @Override
    public boolean begin(int epoch) {
      network.train();
      return false;
    }

    /** Each step has places of its own, so that a resumed run need not know those before. */
    @Override
    public Batch batch(int epoch, int index) {
      long step = epoch * options.interval + index;
      return excerpts.train(index, new SplittableRandom(31 * options.seed + step + 1));
    }

    @Override
    public Tensor[] train(Tensor[] in) {
      return step(in[0], in[1]);
    }

    @Override
    public void started(int epoch, int index) {}

    @Override
    public RecipeLoop.Tested test() {
      if (average == null) {
        return CharGpt.this.test();
      }
      try (ExponentialMovingAverage.Guard g = average.use()) {
        return CharGpt.this.test();
      }
    }

    @Override
    public void save(CheckpointData state) {
      state
          .putGroup("model", network.stateDict())
          .putGroup("optimizer", optimizer.stateDict())
          .putGroup("scheduler", scheduler.stateDict());
      if (average != null) {
        state.putGroup("average", average.stateDict());
      }
    }

    @Override
    public void load(CheckpointData state) {
      network.loadStateDict(state.group("model"));
      optimizer.loadStateDict(state.group("optimizer"));
      scheduler.loadStateDict(state.group("scheduler"));
      if (average != null) {
        average.loadStateDict(state.group("average"));
      }
    }
  }

  private Tensor[] step(Tensor x, Tensor y) {
    Tensor logits;
    Tensor loss;
    try (Precision.Guard g = options.precision.use()) {
      logits = network.call(x);
      loss = Loss.crossEntropy(logits, y);
      optimizer.zeroGrad();
      loss.backward();
    }
    Clip.byNorm(network.parameters(), CLIP);
    optimizer.step();
    scheduler.step();
    if (average != null) {
      average.update();
    }
    return new Tensor[] {results(logits, loss, y)};
  }

  /** Mean loss and number of right answers. */
  private static Tensor results(Tensor logits, Tensor loss, Tensor y) {
    try (GradMode.Guard g = GradMode.noGrad()) {
      Tensor right = logits.argmax(-1).eq(y).to(DType.FLOAT64).sum();
      return Tensor.stack(0, loss.detach().to(DType.FLOAT64), right);
    }
  }

  /** Loss and share of right answers on some excerpts of the rest, the same each time. */
  private RecipeLoop.Tested test() {
    SplittableRandom places = new SplittableRandom(options.seed + 2);
    double loss = 0;
    double right = 0;
    network.eval();
    try (GradMode.Guard g = GradMode.noGrad();
        Precision.Guard p = options.precision.use()) {
      for (int i = 0; i < TEST_BATCHES; i++) {
        try (Scope s = Scope.open()) {
          Batch batch = excerpts.test(i, places);
          Tensor logits = network.call(batch.x());
          Tensor value = Loss.crossEntropy(logits, batch.y());
          double[] both = results(logits, value, batch.y()).toDoubles();
          loss += both[0];
          right += both[1];
        }
      }
    } finally {
      network.train();
    }
    double count = TEST_BATCHES * (double) options.batch * options.context;
    return new RecipeLoop.Tested(loss / TEST_BATCHES, right / count);
  }
}
