package io.gradus.benchmarks.peers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.nn.convolutional.Conv2d;
import ai.djl.nn.core.Linear;
import ai.djl.nn.norm.BatchNorm;
import ai.djl.nn.norm.Dropout;
import ai.djl.nn.pooling.Pool;
import io.gradus.benchmarks.engines.Workload;
import java.util.Map;

/** The three networks in the functions that DJL's blocks call, on images [N, C, H, W]. */
final class DjlNetwork {
  // The share that the old average keeps.
  private static final float MOMENTUM = 0.9f;
  private static final float EPS = 1e-5f;
  private static final Shape TWO = new Shape(2, 2);

  private final Workload workload;
  private final Map<String, NDArray> state;

  DjlNetwork(Workload workload, Map<String, NDArray> state) {
    this.workload = workload;
    this.state = state;
  }

  NDArray logits(NDArray x, boolean dropout) {
    return switch (workload) {
      case MLP -> mlp(x, dropout);
      case CNN -> cnn(x, dropout);
      case RESNET20 -> resnet20(x);
      default -> throw new UnsupportedOperationException(workload.label() + " is for GPUs");
    };
  }

  private NDArray mlp(NDArray x, boolean dropout) {
    NDArray first = drop(Activation.relu(linear(flat(x), "1")), 0.5f, dropout);
    NDArray second = drop(Activation.relu(linear(first, "4")), 0.5f, dropout);
    return linear(second, "7");
  }

  private NDArray cnn(NDArray x, boolean dropout) {
    NDArray first = Activation.relu(norm(conv(x, "0", 1, 1), "1"));
    NDArray second = Activation.relu(norm(conv(first, "3", 1, 1), "4"));
    NDArray pooled = Pool.maxPool2d(second, TWO, TWO, new Shape(0, 0), false);
    NDArray kept = drop(flat(pooled), 0.25f, dropout);
    return linear(drop(Activation.relu(linear(kept, "9")), 0.5f, dropout), "12");
  }

  private NDArray resnet20(NDArray x) {
    NDArray y = Activation.relu(norm(conv(x, "0", 1, 1), "1"));
    for (int block = 0; block < 9; block++) {
      String name = Integer.toString(3 + block);
      boolean begins = block == 3 || block == 6;
      int stride = begins ? 2 : 1;
      NDArray side = y;
      if (begins) {
        side = norm(conv(y, name + ".shortcut.0", 2, 0), name + ".shortcut.1");
      }
      NDArray inner = Activation.relu(norm(conv(y, name + ".main.0", stride, 1), name + ".main.1"));
      y = Activation.relu(norm(conv(inner, name + ".main.3", 1, 1), name + ".main.4").add(side));
    }
    return linear(Pool.globalAvgPool2d(y), "13");
  }

  private NDArray flat(NDArray x) {
    return x.reshape(workload.batch(), -1);
  }

  private static NDArray drop(NDArray x, float p, boolean dropout) {
    return Dropout.dropout(x, p, dropout).singletonOrThrow();
  }

  private NDArray linear(NDArray x, String name) {
    return Linear.linear(x, value(name + ".weight"), value(name + ".bias")).singletonOrThrow();
  }

  private NDArray conv(NDArray x, String name, long stride, long padding) {
    Shape strides = new Shape(stride, stride);
    Shape around = new Shape(padding, padding);
    return Conv2d.conv2d(x, value(name + ".weight"), null, strides, around).singletonOrThrow();
  }

  private NDArray norm(NDArray x, String name) {
    return BatchNorm.batchNorm(
            x,
            value(name + ".running_mean"),
            value(name + ".running_var"),
            value(name + ".weight"),
            value(name + ".bias"),
            1,
            MOMENTUM,
            EPS,
            true)
        .singletonOrThrow();
  }

  private NDArray value(String name) {
    NDArray value = state.get(name);
    if (value == null) {
      throw new IllegalStateException("no weight is named " + name);
    }
    return value;
  }
}
