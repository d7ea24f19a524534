package io.gradus.benchmarks.peers.djl;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.GradientCollector;
import ai.djl.training.loss.Loss;
import ai.djl.training.optimizer.AdamW;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;
import io.gradus.benchmarks.engines.Arrays;
import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Workload;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Training in DJL, with weights named as Gradus names them. */
final class DjlTraining implements Training {
  private static final String HIDDEN = "9.weight";

  private final Workload workload;
  private final String setting;
  private final NDManager manager = NDManager.newBaseManager();
  private final Map<String, NDArray> state = new LinkedHashMap<>();
  private final DjlNetwork network;
  private final Loss crossEntropy = Loss.softmaxCrossEntropyLoss();
  private Optimizer optimizer = optimizer();
  private NDArray x = manager.create(0f);
  private NDArray y = manager.create(0f);

  DjlTraining(Workload workload, String setting) {
    this.workload = workload;
    this.setting = setting;
    network = new DjlNetwork(workload, state);
  }

  private static Optimizer optimizer() {
    return AdamW.builder()
        .optLearningRateTracker(Tracker.fixed((float) Workload.LR))
        .optBeta1((float) Workload.BETA1)
        .optBeta2((float) Workload.BETA2)
        .optEpsilon((float) Workload.EPS)
        .optWeightDecays((float) Workload.WEIGHT_DECAY)
        .build();
  }

  @Override
  public String about() {
    Engine engine = Engine.getInstance();
    return "DJL "
        + Engine.getDjlVersion()
        + ", "
        + engine.getEngineName()
        + " "
        + engine.getVersion()
        + ", its AdamW, "
        + setting;
  }

  @Override
  public void load(List<Arrays.Named> arrays) {
    state.values().forEach(NDArray::close);
    state.clear();
    optimizer = optimizer();
    for (Arrays.Named array : arrays) {
      NDArray given = manager.create(array.data(), new Shape(array.dims()));
      switch (array.name()) {
        case "x" -> x = firstChannels(given);
        case "y" -> y = given.toType(DataType.INT64, false);
        default -> {
          NDArray weight = weight(array.name(), given);
          weight.setRequiresGradient(!array.name().contains(".running_"));
          state.put(array.name(), weight);
        }
      }
    }
  }

  /** From [N, H, W, C] to [N, C, H, W]. */
  private static NDArray firstChannels(NDArray images) {
    return images.transpose(0, 3, 1, 2).duplicate();
  }

  private NDArray weight(String name, NDArray given) {
    if (given.getShape().dimension() == 4) {
      return firstChannels(given);
    }
    if (workload == Workload.CNN && name.equals(HIDDEN)) {
      // Its columns are pixels in the order of the images before it: [H, W, C] becomes [C, H, W].
      long side = workload.side() / 2;
      long outputs = given.getShape().get(0);
      NDArray pixels = given.reshape(outputs, side, side, -1);
      return firstChannels(pixels).reshape(outputs, -1).duplicate();
    }
    return given;
  }

  @Override
  public double step(boolean dropout) {
    // What is computed belongs to the manager of the input, and ends with it.
    try (NDManager step = manager.newSubManager()) {
      x.attach(step);
      y.attach(step);
      try (GradientCollector gradients = Engine.getInstance().newGradientCollector()) {
        NDArray loss = crossEntropy.evaluate(new NDList(y), new NDList(network.logits(x, dropout)));
        gradients.backward(loss);
        state.forEach(this::update);
        return loss.getFloat();
      } finally {
        x.attach(manager);
        y.attach(manager);
      }
    }
  }

  private void update(String name, NDArray weight) {
    if (weight.hasGradient()) {
      try (NDArray gradient = weight.getGradient()) {
        optimizer.update(name, weight, gradient);
      }
    }
  }
}
