package io.gradus.benchmarks.engines;

import io.gradus.backend.Backends;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.nn.Dropout;
import io.gradus.nn.Module;
import io.gradus.optim.AdamOptions;
import io.gradus.optim.AdamW;
import io.gradus.tensor.CapturedStep;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.train.Networks;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The worker of Gradus. */
public final class GradusWorker {
  /** The system property that names the device to train on. */
  static final String DEVICE = "gradus.benchmarks.device";

  /** The system property that names the precision of products, see {@link Precision}. */
  static final String PRECISION = "gradus.benchmarks.precision";

  /** The system property by which steps are captured. */
  static final String CAPTURE = "gradus.benchmarks.capture";

  private static final String X = "x";
  private static final String Y = "y";

  private GradusWorker() {}

  /**
   * Serves as a worker. With the arguments {@code --state WORKLOAD FILE} it writes fresh weights
   * and a random batch that all engines start from; with {@code --profile WORKLOAD THREADS STATE
   * WARM_UP ROUND ROUNDS FILE} the {@link StepProfile} of a training from there (times in seconds).
   */
  public static void main(String[] args) throws IOException {
    if (args.length == 3 && args[0].equals("--state")) {
      Arrays.write(Path.of(args[2]), freshState(Workload.parse(args[1])));
    } else if (args.length == 8 && args[0].equals("--profile")) {
      Training training =
          new Factory().open(Workload.parse(args[1]), Integer.parseInt(args[2]), "default");
      training.load(Arrays.read(Path.of(args[3])));
      StepProfile.measure(
              training,
              Double.parseDouble(args[4]),
              Double.parseDouble(args[5]),
              Integer.parseInt(args[6]))
          .write(Path.of(args[7]));
    } else {
      Worker.serve(new Factory());
    }
  }

  private static Device device() {
    return Device.parse(System.getProperty(DEVICE, "cpu"));
  }

  private static List<Arrays.Named> freshState(Workload workload) {
    Generator.seed(1);
    List<Arrays.Named> state = new ArrayList<>();
    WorkloadNetworks.of(workload).stateDict().forEach((name, t) -> state.add(named(name, t)));
    int side = workload.side();
    int batch = workload.batch();
    int classes = workload.classes();
    if (workload.isText()) {
      state.add(integers(X, Tensor.randint(0, classes, batch, side)));
      state.add(integers(Y, Tensor.randint(0, classes, batch, side)));
      return state;
    }
    state.add(named(X, Tensor.randn(batch, side, side, workload.channels())));
    state.add(integers(Y, Tensor.randint(0, classes, batch)));
    return state;
  }

  private static Arrays.Named integers(String name, Tensor tensor) {
    return new Arrays.Named(name, tensor.shape().dims(), floats(tensor.toLongs()));
  }

  private static Arrays.Named named(String name, Tensor tensor) {
    return new Arrays.Named(name, tensor.shape().dims(), tensor.detach().toFloats());
  }

  private static float[] floats(long[] from) {
    float[] to = new float[from.length];
    for (int i = 0; i < to.length; i++) {
      to[i] = from[i];
    }
    return to;
  }

  private static long[] longs(float[] from) {
    long[] to = new long[from.length];
    for (int i = 0; i < to.length; i++) {
      to[i] = (long) from[i];
    }
    return to;
  }

  private static final class Factory implements Training.Factory {
    @Override
    public Training open(Workload workload, int threads, String setting) {
      // Read when the device opens, which the first tensor does.
      System.setProperty("gradus.threads", Integer.toString(threads));
      Device device = device();
      return new GradusTraining(
          WorkloadNetworks.of(workload).to(device), device, workload.isText());
    }

    @Override
    public List<String> settings(Workload workload, int threads) {
      return List.of("default");
    }

    @Override
    public Training.TinyOp tinyOp(int threads) {
      System.setProperty("gradus.threads", Integer.toString(threads));
      Tensor a = Tensor.ones(1).to(device());
      Tensor b = Tensor.ones(1).to(device());
      return new Training.TinyOp("Tensor.add, closed at once", () -> a.add(b).close());
    }
  }

  private static final class GradusTraining implements Training {
    private final Module module;
    private final Device on;
    private final boolean text;
    private final AdamW optimizer;
    private final Precision precision;
    private final boolean capture = Boolean.getBoolean(CAPTURE);
    private final Map<Boolean, CapturedStep> captured = new HashMap<>();
    private Tensor x = Tensor.scalar(0);
    private Tensor y = Tensor.scalar(0);

    GradusTraining(Module module, Device on, boolean text) {
      this.module = module;
      this.on = on;
      this.text = text;
      precision =
          Precision.valueOf(System.getProperty(PRECISION, "float32").toUpperCase(Locale.ROOT));
      AdamOptions options =
          new AdamOptions(
              Workload.LR, Workload.BETA1, Workload.BETA2, Workload.EPS, Workload.WEIGHT_DECAY);
      optimizer = new AdamW(module.parameters(), options);
      module.train();
    }

    @Override
    public String about() {
      String version = Networks.class.getPackage().getImplementationVersion();
      String device =
          Device.all().stream()
              .filter(info -> info.device().equals(on))
              .map(DeviceInfo::description)
              .findFirst()
              .orElse("");
      return String.join(
          ", ",
          "Gradus " + (version == null ? "(unpacked)" : version),
          device,
          capture ? "captured" : "eager",
          precision.name().toLowerCase(Locale.ROOT));
    }

    @Override
    public void load(List<Arrays.Named> state) {
      Map<String, Tensor> weights = new LinkedHashMap<>();
      for (Arrays.Named array : state) {
        switch (array.name()) {
          case X -> x = (text ? integers(array) : Tensor.of(array.data(), array.dims())).to(on);
          case Y -> y = integers(array).to(on);
          default -> weights.put(array.name(), Tensor.of(array.data(), array.dims()).to(on));
        }
      }
      module.loadStateDict(weights);
    }

    private static Tensor integers(Arrays.Named array) {
      return Tensor.of(longs(array.data()), array.dims());
    }

    @Override
    public double step(boolean dropout) {
      try (Scope s = Scope.open()) {
        return enqueue(dropout).item();
      }
    }

    @Override
    public void train(int steps) {
      for (int i = 1; i < steps; i++) {
        Scope scope = Scope.open();
        enqueue(true);
        scope.close();
      }
      step(true);
    }

    /** A step, whose loss may not be known yet. */
    private Tensor enqueue(boolean dropout) {
      for (Module part : module.namedModules().values()) {
        if (part instanceof Dropout) {
          part.train(dropout);
        }
      }
      if (!capture) {
        return loss(x, y);
      }
      return captured.computeIfAbsent(
              dropout, d -> CapturedStep.of(on, in -> new Tensor[] {loss(in[0], in[1])}))
          .run(x, y)[0];
    }

    private Tensor loss(Tensor input, Tensor target) {
      Tensor loss;
      try (Precision.Guard g = precision.use()) {
        Tensor logits = module.call(input);
        loss =
            text
                ? Loss.crossEntropy(
                    logits.reshape(target.numel(), logits.size(-1)), target.reshape(target.numel()))
                : Loss.crossEntropy(logits, target);
      }
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss;
    }

    @Override
    public long peakBytes() {
      boolean processor = on.type().equals("cpu") || on.type().equals("reference");
      return processor ? 0 : Backends.of(on).allocator().statistics().peakBytes();
    }
  }
}
