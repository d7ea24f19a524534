package io.gradus.benchmarks.engines;

import io.gradus.core.Shape;
import io.gradus.nn.BatchNorm2d;
import io.gradus.nn.Conv2d;
import io.gradus.nn.GlobalAvgPool2d;
import io.gradus.nn.Identity;
import io.gradus.nn.Linear;
import io.gradus.nn.MaxPool2d;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Residual;
import io.gradus.nn.Sequential;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.train.CharGptNetwork;
import io.gradus.train.Networks;
import java.util.ArrayList;
import java.util.List;

/**
 * The networks of the workloads in Gradus: those of the command line, and for GPUs the residual
 * networks for ImageNet (He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR
 * 2016, table 1; strides of bottlenecks in their 3x3 convolutions, as is usual since) and
 * transformers.
 */
final class WorkloadNetworks {
  private static final int[] BASIC = {2, 2, 2, 2};
  private static final int[] BOTTLENECKS = {3, 4, 6, 3};
  private static final int STEM = 64;

  /** A bottleneck's outputs for each of its inner channels. */
  private static final int WIDER = 4;

  private WorkloadNetworks() {}

  static Module of(Workload workload) {
    return switch (workload) {
      case MLP, CNN, RESNET20 ->
          Networks.parse(workload.label())
              .create(
                  Shape.of(workload.side(), workload.side(), workload.channels()),
                  workload.classes());
      case RESNET18, TINY_RESNET18 -> resnet(BASIC, false, workload);
      case RESNET50, TINY_RESNET50 -> resnet(BOTTLENECKS, true, workload);
      case GPT -> gpt(workload, 6, 6, 384);
      case GPT2 -> gpt(workload, 12, 12, 768);
      case TINY_GPT -> gpt(workload, 1, 1, 64);
    };
  }

  private static Module gpt(Workload workload, int layers, int heads, int width) {
    return new CharGptNetwork(workload.classes(), workload.side(), layers, heads, width, 0);
  }

  private static Module resnet(int[] blocks, boolean bottleneck, Workload workload) {
    List<Module> layers = new ArrayList<>();
    layers.add(conv(workload.channels(), STEM, 7, 2));
    layers.add(new BatchNorm2d(STEM));
    layers.add(new ReLU());
    layers.add(new MaxPool2d(3, 2, 1));
    int channels = STEM;
    for (int stage = 0; stage < blocks.length; stage++) {
      int inner = STEM << stage;
      int outputs = bottleneck ? WIDER * inner : inner;
      for (int block = 0; block < blocks[stage]; block++) {
        int stride = stage > 0 && block == 0 ? 2 : 1;
        layers.add(
            new Residual(
                bottleneck
                    ? bottleneck(channels, inner, outputs, stride)
                    : basic(channels, outputs, stride),
                stride == 1 && channels == outputs
                    ? new Identity()
                    : new Sequential(conv(channels, outputs, 1, stride), new BatchNorm2d(outputs)),
                new ReLU()));
        channels = outputs;
      }
    }
    layers.add(new GlobalAvgPool2d());
    layers.add(new Linear(channels, workload.classes()));
    return new Sequential(layers.toArray(Module[]::new));
  }

  private static Module basic(int in, int out, int stride) {
    return new Sequential(
        conv(in, out, 3, stride),
        new BatchNorm2d(out),
        new ReLU(),
        conv(out, out, 3, 1),
        new BatchNorm2d(out));
  }

  private static Module bottleneck(int in, int inner, int out, int stride) {
    return new Sequential(
        conv(in, inner, 1, 1),
        new BatchNorm2d(inner),
        new ReLU(),
        conv(inner, inner, 3, stride),
        new BatchNorm2d(inner),
        new ReLU(),
        conv(inner, out, 1, 1),
        new BatchNorm2d(out));
  }

  private static Module conv(int in, int out, int kernel, int stride) {
    // No bias: the batch norm behind every convolution would take it away again.
    return new Conv2d(in, out, kernel, kernel, Conv2dOptions.of(stride, kernel / 2), false);
  }
}
