package io.gradus.benchmarks.peers.nd4j;

import io.gradus.benchmarks.engines.Workload;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * The three networks as Deeplearning4j's graphs on images [N, C, H, W], whose layers are named as
 * Gradus names them. Its dropout belongs to the layer behind, and is told what it keeps.
 */
final class Nd4jNetwork {
  private static final String INPUT = "in";
  private static final double DECAY = 0.9;
  private static final double EPS = 1e-5;

  private final Workload workload;
  private final GraphBuilder graph;

  private Nd4jNetwork(Workload workload) {
    this.workload = workload;
    graph =
        new NeuralNetConfiguration.Builder()
            .updater(new Adam(Workload.LR, Workload.BETA1, Workload.BETA2, Workload.EPS))
            // True: times the learning rate, after the updater, which makes it decoupled.
            .weightDecay(Workload.WEIGHT_DECAY, true)
            .weightDecayBias(Workload.WEIGHT_DECAY, true)
            .graphBuilder()
            .addInputs(INPUT);
  }

  static ComputationGraphConfiguration configuration(Workload workload) {
    return new Nd4jNetwork(workload).build();
  }

  private ComputationGraphConfiguration build() {
    int side = workload.side();
    graph.setInputTypes(
        workload == Workload.MLP
            ? InputType.feedForward((long) side * side)
            : InputType.convolutional(side, side, workload.channels()));
    graph.setOutputs(
        switch (workload) {
          case MLP -> mlp();
          case CNN -> cnn();
          case RESNET20 -> resnet20();
          default -> throw new UnsupportedOperationException(workload.label() + " is for GPUs");
        });
    return graph.build();
  }

  private String mlp() {
    String first = dense("1", INPUT, 512, 1);
    return output("7", dense("4", first, 512, 0.5), 0.5);
  }

  private String cnn() {
    String first = relu(norm("1", conv("0", INPUT, 32, 3, 1)));
    String second = relu(norm("4", conv("3", first, 64, 3, 1)));
    graph.addLayer(
        "pool",
        new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(2, 2).stride(2, 2).build(),
        second);
    return output("12", dense("9", "pool", 128, 0.75), 0.5);
  }

  private String resnet20() {
    String y = relu(norm("1", conv("0", INPUT, 16, 3, 1)));
    for (int block = 0; block < 9; block++) {
      String name = Integer.toString(3 + block);
      boolean begins = block == 3 || block == 6;
      int stride = begins ? 2 : 1;
      int channels = 16 << (block / 3);
      String side = y;
      if (begins) {
        side = norm(name + ".shortcut.1", conv(name + ".shortcut.0", y, channels, 1, 2));
      }
      String inner = relu(norm(name + ".main.1", conv(name + ".main.0", y, channels, 3, stride)));
      String main = norm(name + ".main.4", conv(name + ".main.3", inner, channels, 3, 1));
      graph.addVertex(name + ".sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), main, side);
      y = relu(name + ".sum");
    }
    graph.addLayer("mean", new GlobalPoolingLayer.Builder(PoolingType.AVG).build(), y);
    return output("13", "mean", 1);
  }

  private String conv(String name, String input, int channels, int kernel, int stride) {
    int padding = kernel / 2;
    graph.addLayer(
        name,
        new ConvolutionLayer.Builder(kernel, kernel)
            .stride(stride, stride)
            .padding(padding, padding)
            .nOut(channels)
            .hasBias(false)
            .activation(Activation.IDENTITY)
            .build(),
        input);
    return name;
  }

  private String norm(String name, String input) {
    graph.addLayer(
        name,
        new BatchNormalization.Builder().decay(DECAY).eps(EPS).useLogStd(false).build(),
        input);
    return name;
  }

  private String relu(String input) {
    String name = input + ".relu";
    graph.addLayer(name, new ActivationLayer(Activation.RELU), input);
    return name;
  }

  private String dense(String name, String input, int width, double keep) {
    DenseLayer.Builder layer = new DenseLayer.Builder().nOut(width).activation(Activation.RELU);
    graph.addLayer(name, (keep < 1 ? layer.dropOut(keep) : layer).build(), input);
    return name;
  }

  private String output(String name, String input, double keep) {
    OutputLayer.Builder layer =
        new OutputLayer.Builder(LossFunction.MCXENT)
            .nOut(Workload.CLASSES)
            .activation(Activation.SOFTMAX);
    graph.addLayer(name, (keep < 1 ? layer.dropOut(keep) : layer).build(), input);
    return name;
  }
}
