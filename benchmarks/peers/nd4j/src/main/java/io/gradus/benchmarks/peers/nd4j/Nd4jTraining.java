package io.gradus.benchmarks.peers.nd4j;

import io.gradus.benchmarks.engines.Arrays;
import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Workload;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.dropout.IDropout;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Training in Deeplearning4j. */
final class Nd4jTraining implements Training {
  private static final String HIDDEN = "9.weight";

  private final Workload workload;
  private final String setting;
  private final ComputationGraph network;
  private final Map<Layer, IDropout> dropouts = new LinkedHashMap<>();
  private INDArray[] x = {};
  private INDArray[] y = {};

  Nd4jTraining(Workload workload, String setting) {
    this.workload = workload;
    this.setting = setting;
    network = new ComputationGraph(Nd4jNetwork.configuration(workload));
  }

  @Override
  public String about() {
    return "Deeplearning4j, Adam with decoupled decay but of batch norm, " + setting;
  }

  @Override
  public void load(List<Arrays.Named> arrays) {
    network.init();
    dropouts.clear();
    for (Layer layer : network.getLayers()) {
      IDropout dropout = layer.conf().getLayer().getIDropout();
      if (dropout != null) {
        dropouts.put(layer, dropout);
      }
    }
    for (Arrays.Named array : arrays) {
      switch (array.name()) {
        case "x" -> x = new INDArray[] {input(array)};
        case "y" -> y = new INDArray[] {oneHot(array.data())};
        default -> set(array);
      }
    }
  }

  private INDArray input(Arrays.Named array) {
    INDArray images = Nd4j.create(array.data(), array.dims(), 'c');
    return workload == Workload.MLP
        ? images.reshape(workload.batch(), -1)
        : images.permute(0, 3, 1, 2).dup('c');
  }

  private static INDArray oneHot(float[] labels) {
    float[] ones = new float[labels.length * Workload.CLASSES];
    for (int i = 0; i < labels.length; i++) {
      ones[i * Workload.CLASSES + (int) labels[i]] = 1;
    }
    return Nd4j.create(ones, new long[] {labels.length, Workload.CLASSES}, 'c');
  }

  private void set(Arrays.Named array) {
    int dot = array.name().lastIndexOf('.');
    Layer layer = network.getLayer(array.name().substring(0, dot));
    INDArray given = Nd4j.create(array.data(), array.dims(), 'c');
    boolean norm = layer.paramTable().containsKey("gamma");
    switch (array.name().substring(dot + 1)) {
      case "weight" -> put(layer, norm ? "gamma" : "W", weight(array.name(), given));
      case "bias" -> put(layer, norm ? "beta" : "b", given);
      case "running_mean" -> put(layer, "mean", given);
      case "running_var" -> put(layer, "var", given);
      default -> throw new IllegalStateException("unknown " + array.name());
    }
  }

  private static void put(Layer layer, String name, INDArray value) {
    INDArray parameter = layer.getParam(name);
    parameter.assign(value.reshape(parameter.shape()));
  }

  private INDArray weight(String name, INDArray given) {
    if (given.rank() == 4) {
      return given.permute(0, 3, 1, 2).dup('c');
    }
    if (given.rank() != 2) {
      return given;
    }
    INDArray ordered = given;
    if (workload == Workload.CNN && name.equals(HIDDEN)) {
      // Its columns are pixels in the order of the images before it: [H, W, C] becomes [C, H, W].
      int side = workload.side() / 2;
      long outputs = given.size(0);
      INDArray pixels = given.reshape(outputs, side, side, -1);
      ordered = pixels.permute(0, 3, 1, 2).dup('c').reshape(outputs, -1);
    }
    return ordered.transpose().dup('c');
  }

  @Override
  public double step(boolean dropout) {
    dropouts.forEach(
        (layer, chosen) -> layer.conf().getLayer().setIDropout(dropout ? chosen : null));
    // Its score has the penalty of the weights in it that the decay stands for.
    double penalty = dropout ? 0 : network.calcRegularizationScore(true);
    network.fit(x, y);
    return network.score() - penalty;
  }
}
