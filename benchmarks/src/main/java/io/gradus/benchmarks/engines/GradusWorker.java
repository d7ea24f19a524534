package io.gradus.benchmarks.engines;

import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.Shape;
import io.gradus.nn.Dropout;
import io.gradus.nn.Module;
import io.gradus.optim.AdamOptions;
import io.gradus.optim.AdamW;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.train.Networks;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The worker of Gradus. */
public final class GradusWorker {
  /** The system property that names the device to train on. */
  static final String DEVICE = "gradus.benchmarks.device";

  private static final String X = "x";
  private static final String Y = "y";

  private GradusWorker() {}

  /**
   * Serves as a worker or, with the arguments {@code --state WORKLOAD FILE}, writes fresh weights
   * and a random batch that all engines start from.
   */
  public static void main(String[] args) throws IOException {
    if (args.length == 3 && args[0].equals("--state")) {
      Arrays.write(Path.of(args[2]), freshState(Workload.parse(args[1])));
    } else {
      Worker.serve(new Factory());
    }
  }

  private static Device device() {
    return Device.parse(System.getProperty(DEVICE, "cpu"));
  }

  private static Module network(Workload workload) {
    Shape sample = Shape.of(workload.side(), workload.side(), workload.channels());
    return Networks.parse(workload.label()).create(sample, Workload.CLASSES);
  }

  private static List<Arrays.Named> freshState(Workload workload) {
    Generator.seed(1);
    List<Arrays.Named> state = new ArrayList<>();
    network(workload).stateDict().forEach((name, t) -> state.add(named(name, t)));
    int side = workload.side();
    state.add(named(X, Tensor.randn(workload.batch(), side, side, workload.channels())));
    Tensor labels = Tensor.randint(0, Workload.CLASSES, workload.batch());
    state.add(new Arrays.Named(Y, labels.shape().dims(), floats(labels.toLongs())));
    return state;
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
      return new GradusTraining(network(workload).to(device), device);
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
    private final AdamW optimizer;
    private Tensor x = Tensor.scalar(0);
    private Tensor y = Tensor.scalar(0);

    GradusTraining(Module module, Device on) {
      this.module = module;
      this.on = on;
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
      return "Gradus " + (version == null ? "(unpacked)" : version) + ", " + device;
    }

    @Override
    public void load(List<Arrays.Named> state) {
      Map<String, Tensor> weights = new LinkedHashMap<>();
      for (Arrays.Named array : state) {
        switch (array.name()) {
          case X -> x = Tensor.of(array.data(), array.dims()).to(on);
          case Y -> y = Tensor.of(longs(array.data()), array.dims()).to(on);
          default -> weights.put(array.name(), Tensor.of(array.data(), array.dims()).to(on));
        }
      }
      module.loadStateDict(weights);
    }

    @Override
    public double step(boolean dropout) {
      for (Module part : module.namedModules().values()) {
        if (part instanceof Dropout) {
          part.train(dropout);
        }
      }
      try (Scope s = Scope.open()) {
        Tensor loss = Loss.crossEntropy(module.call(x), y);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        return loss.item();
      }
    }
  }
}
