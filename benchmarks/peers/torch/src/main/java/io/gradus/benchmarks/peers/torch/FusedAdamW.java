package io.gradus.benchmarks.peers.torch;

import io.gradus.benchmarks.engines.Workload;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Dispatcher;
import org.bytedeco.pytorch.GenericList;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.OperatorHandle;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorType;
import org.bytedeco.pytorch.Type;
import org.bytedeco.pytorch.global.torch;

/**
 * AdamW as PyTorch computes it with {@code fused=True}: one call for all parameters. libtorch's C++
 * class has only the slower form, and the binding has no method for the fused operator, so it is
 * called through the dispatcher.
 */
final class FusedAdamW {
  private final OperatorHandle update =
      Dispatcher.singleton().findSchemaOrThrow("aten::_fused_adamw_", "");
  private final List<Tensor> parameters;
  private final IValue self;
  private final IValue first;
  private final IValue second;
  private final IValue none = list(List.of());
  private final IValue steps;
  private final Tensor step = torch.zeros(1).reshape();
  private final Scalar one = new Scalar(1.0);

  FusedAdamW(List<Tensor> parameters) {
    this.parameters = List.copyOf(parameters);
    self = list(parameters);
    first = list(zeros());
    second = list(zeros());
    // All parameters are at the same step: one counter serves them all.
    steps = list(parameters.stream().map(p -> step).toList());
  }

  private List<Tensor> zeros() {
    return parameters.stream().map(p -> torch.zeros_like(p)).toList();
  }

  private static IValue list(List<Tensor> tensors) {
    GenericList list = new GenericList(new Type.TypePtr(TensorType.get()));
    tensors.forEach(tensor -> list.push_back(new IValue(tensor)));
    return new IValue(list);
  }

  /** Updates the parameters by their gradients. */
  void step() {
    List<Tensor> gradients = new ArrayList<>();
    parameters.forEach(p -> gradients.add(p.grad()));
    try (NoGradGuard guard = new NoGradGuard()) {
      step.add_(one);
      update.callBoxed(
          new IValueVector(
              self,
              list(gradients),
              first,
              second,
              none,
              steps,
              new IValue(Workload.LR),
              new IValue(Workload.BETA1),
              new IValue(Workload.BETA2),
              new IValue(Workload.WEIGHT_DECAY),
              new IValue(Workload.EPS),
              new IValue(false),
              new IValue(false),
              new IValue(),
              new IValue()));
    }
  }
}
