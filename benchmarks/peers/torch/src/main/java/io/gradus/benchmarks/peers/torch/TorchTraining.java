package io.gradus.benchmarks.peers.torch;

import io.gradus.benchmarks.engines.Arrays;
import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Workload;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.MemoryFormat;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** Training in libtorch, with weights named as Gradus names them. */
final class TorchTraining implements Training {
  private final Workload workload;
  private final String setting;
  private final MemoryFormat format;
  private final TorchNetwork network;
  private final List<Tensor> parameters = new ArrayList<>();
  private FusedAdamW optimizer = new FusedAdamW(parameters);
  private Tensor x = new Tensor();
  private Tensor y = new Tensor();

  TorchTraining(Workload workload, String setting, boolean channelsLast) {
    this.workload = workload;
    this.setting = setting;
    format = channelsLast ? MemoryFormat.ChannelsLast : MemoryFormat.Contiguous;
    network = new TorchNetwork(workload, channelsLast);
  }

  @Override
  public String about() {
    try (PointerScope scope = new PointerScope();
        BytePointer config = torch.show_config();
        BytePointer capability = torch.get_cpu_capability()) {
      String blas =
          config
              .getString()
              .lines()
              .flatMap(line -> java.util.Arrays.stream(line.split("[,:] *", -1)))
              .filter(word -> word.startsWith("BLAS_INFO=") || word.startsWith("TORCH_VERSION="))
              .sorted()
              .reduce("", (a, b) -> a + ", " + b);
      return "libtorch"
          + blas
          + ", oneDNN "
          + (torch.hasMKLDNN() ? "on" : "off")
          + ", "
          + capability.getString()
          + ", fused AdamW, "
          + setting;
    }
  }

  @Override
  public void load(List<Arrays.Named> state) {
    Map<String, Tensor> weights = new LinkedHashMap<>();
    for (Arrays.Named array : state) {
      Tensor tensor = Tensor.create(array.data(), array.dims());
      switch (array.name()) {
        case "x" -> x = input(tensor);
        case "y" -> y = tensor.to(ScalarType.Long);
        default -> weights.put(array.name(), weight(array, tensor));
      }
    }
    network.load(weights);
    parameters.clear();
    weights.forEach(
        (name, tensor) -> {
          if (!name.contains(".running_")) {
            tensor.requires_grad_(true);
            parameters.add(tensor);
          }
        });
    optimizer = new FusedAdamW(parameters);
  }

  private Tensor input(Tensor nhwc) {
    return workload == Workload.MLP
        ? nhwc.flatten(1, -1)
        : nhwc.permute(0, 3, 1, 2).contiguous(format);
  }

  private Tensor weight(Arrays.Named array, Tensor tensor) {
    if (array.dims().length == 4) {
      return tensor.permute(0, 3, 1, 2).contiguous(format);
    }
    if (array.name().equals(TorchNetwork.CNN_HIDDEN_WEIGHT)
        && workload == Workload.CNN
        && format == MemoryFormat.Contiguous) {
      // Its columns are pixels in the order of the images before it: [H, W, C] becomes [C, H, W].
      long pixels = workload.side() / 2;
      return tensor
          .reshape(array.dims()[0], pixels, pixels, -1)
          .permute(0, 3, 1, 2)
          .flatten(1, -1)
          .contiguous();
    }
    return tensor;
  }

  @Override
  public double step(boolean dropout) {
    try (PointerScope scope = new PointerScope()) {
      Tensor loss = torch.cross_entropy_loss(network.forward(x, dropout), y);
      for (Tensor parameter : parameters) {
        parameter.mutable_grad().reset();
      }
      loss.backward();
      optimizer.step();
      return loss.item_float();
    }
  }
}
