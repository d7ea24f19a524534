package io.gradus.benchmarks.peers.torch;

import io.gradus.benchmarks.engines.Workload;
import java.util.HashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;

/**
 * The three networks in libtorch's functions. ReLU and sums are in place where autograd allows it,
 * as in torchvision's networks.
 */
final class TorchNetwork {
  /** The weight whose columns follow the order of pixels. */
  static final String CNN_HIDDEN_WEIGHT = "9.weight";

  private static final double MOMENTUM = 0.1;
  private static final double EPS = 1e-5;

  private final Workload workload;
  private final boolean channelsLast;
  private final Map<String, Tensor> weights = new HashMap<>();
  private final Map<String, TensorOptional> optionals = new HashMap<>();
  private final TensorOptional none = new TensorOptional();

  TorchNetwork(Workload workload, boolean channelsLast) {
    this.workload = workload;
    this.channelsLast = channelsLast;
  }

  void load(Map<String, Tensor> state) {
    weights.clear();
    weights.putAll(state);
    optionals.clear();
    state.forEach((name, tensor) -> optionals.put(name, new TensorOptional(tensor)));
  }

  Tensor forward(Tensor x, boolean dropout) {
    return switch (workload) {
      case MLP -> mlp(x, dropout);
      case CNN -> cnn(x, dropout);
      case RESNET20 -> resnet20(x);
      default -> throw new UnsupportedOperationException(workload.label() + " is for GPUs");
    };
  }

  private Tensor mlp(Tensor x, boolean dropout) {
    Tensor first = torch.dropout(linear(x, "1").relu_(), 0.5, dropout);
    Tensor second = torch.dropout(linear(first, "4").relu_(), 0.5, dropout);
    return linear(second, "7");
  }

  private Tensor cnn(Tensor x, boolean dropout) {
    Tensor first = norm(conv(x, "0", 1, 1), "1").relu_();
    Tensor second = norm(conv(first, "3", 1, 1), "4").relu_();
    Tensor pooled = torch.dropout(torch.max_pool2d(second, 2, 2), 0.25, dropout);
    // In channels-last order this permutation is the memory's own, so nothing is copied.
    Tensor flat = (channelsLast ? pooled.permute(0, 2, 3, 1) : pooled).flatten(1, -1);
    return linear(torch.dropout(linear(flat, "9").relu_(), 0.5, dropout), "12");
  }

  private Tensor resnet20(Tensor x) {
    Tensor y = norm(conv(x, "0", 1, 1), "1").relu_();
    for (int block = 0; block < 9; block++) {
      String name = Integer.toString(3 + block);
      boolean begins = block == 3 || block == 6;
      int stride = begins ? 2 : 1;
      Tensor side = y;
      if (begins) {
        side = norm(conv(y, name + ".shortcut.0", 2, 0), name + ".shortcut.1");
      }
      Tensor inner = norm(conv(y, name + ".main.0", stride, 1), name + ".main.1").relu_();
      y = norm(conv(inner, name + ".main.3", 1, 1), name + ".main.4").add_(side).relu_();
    }
    return linear(y.mean(2, 3), "13");
  }

  private Tensor linear(Tensor x, String name) {
    return torch.linear(x, weight(name + ".weight"), optional(name + ".bias"));
  }

  private Tensor conv(Tensor x, String name, int stride, int padding) {
    return torch.conv2d(
        x,
        weight(name + ".weight"),
        none,
        new long[] {stride, stride},
        new long[] {padding, padding},
        new long[] {1, 1},
        1);
  }

  private Tensor norm(Tensor x, String name) {
    return torch.batch_norm(
        x,
        optional(name + ".weight"),
        optional(name + ".bias"),
        optional(name + ".running_mean"),
        optional(name + ".running_var"),
        true,
        MOMENTUM,
        EPS,
        false);
  }

  private Tensor weight(String name) {
    return known(weights.get(name), name);
  }

  private TensorOptional optional(String name) {
    return known(optionals.get(name), name);
  }

  private static <T> T known(@Nullable T value, String name) {
    if (value == null) {
      throw new IllegalStateException("no weight is named " + name);
    }
    return value;
  }
}
