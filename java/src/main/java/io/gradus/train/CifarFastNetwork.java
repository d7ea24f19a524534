package io.gradus.train;

import io.gradus.nn.BatchNorm2d;
import io.gradus.nn.Conv2d;
import io.gradus.nn.Flatten;
import io.gradus.nn.GELU;
import io.gradus.nn.Linear;
import io.gradus.nn.MaxPool2d;
import io.gradus.nn.Module;
import io.gradus.nn.Sequential;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** The network of {@link CifarFast}. */
final class CifarFastNetwork extends Module {
  static final int CHANNELS = 3;
  static final int PATCH = 2;

  private static final int WHITENED = 2 * PATCH * PATCH * CHANNELS;

  /** Weight of the batch in the running means: few batches are seen, and they change fast. */
  private static final double BATCH_NORM_MOMENTUM = 0.4;

  private static final double BATCH_NORM_EPS = 1e-12;
  private static final double LOGIT_SCALE = 1.0 / 9;

  private final Conv2d whitening =
      registerModule("whitening", new Conv2d(CHANNELS, WHITENED, PATCH));
  private final Sequential body;
  private final List<Tensor> normBiases = new ArrayList<>();

  /**
   * A network with fresh weights.
   *
   * @param widths channels of the three groups; 64, 256 and 256 in the paper
   * @param filters of {@link Whitening}
   */
  CifarFastNetwork(int[] widths, int classes, float[] filters) {
    List<Module> layers = new ArrayList<>();
    layers.add(new GELU());
    int channels = WHITENED;
    for (int width : widths) {
      addGroup(layers, channels, width);
      channels = width;
    }
    layers.add(new MaxPool2d(3));
    layers.add(new Flatten());
    layers.add(new Linear(channels, classes, false));
    body = registerModule("body", new Sequential(layers.toArray(Module[]::new)));
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      whitening.weight().copyFrom(Tensor.of(filters, WHITENED, PATCH, PATCH, CHANNELS));
    }
    whitening.weight().requiresGrad(false);
  }

  private void addGroup(List<Module> layers, int in, int out) {
    layers.add(convolution(in, out));
    layers.add(new MaxPool2d(2));
    layers.add(norm(out));
    layers.add(new GELU());
    layers.add(convolution(out, out));
    layers.add(norm(out));
    layers.add(new GELU());
  }

  /** The first filters hand the channels on as they are, the others begin as usual. */
  private static Conv2d convolution(int in, int out) {
    Conv2d conv = new Conv2d(in, out, 3, 3, Conv2dOptions.of(1, 1), false);
    int same = Math.min(in, out);
    float[] identity = new float[same * 9 * in];
    for (int i = 0; i < same; i++) {
      identity[(i * 9 + 4) * in + i] = 1;
    }
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      conv.weight().slice(0, 0, same).copyFrom(Tensor.of(identity, same, 3, 3, in));
    }
    return conv;
  }

  private BatchNorm2d norm(int channels) {
    BatchNorm2d norm = new BatchNorm2d(channels, BATCH_NORM_MOMENTUM, BATCH_NORM_EPS);
    norm.weight().requiresGrad(false);
    normBiases.add(norm.bias());
    return norm;
  }

  /** The biases of the batch norms, which learn faster. */
  List<Tensor> normBiases() {
    return normBiases;
  }

  /** The bias of the whitened patches, which learns only at first. */
  Tensor whiteningBias() {
    return Objects.requireNonNull(whitening.bias());
  }

  @Override
  public Tensor forward(Tensor x) {
    return body.call(whitening.call(x)).mul(LOGIT_SCALE);
  }
}
