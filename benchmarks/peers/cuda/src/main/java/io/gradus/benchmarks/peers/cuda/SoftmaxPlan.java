package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ImageLayout;
import io.gradus.benchmarks.libraries.KernelSpec;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.cudnn.cudnnTensorStruct;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/** Softmax of rows, each an image of one pixel, or its gradient. */
final class SoftmaxPlan implements Plan {
  private record Set(Pointer in, Pointer y, Pointer out) {}

  private final cudnnContext handle;
  private final boolean gradient;
  private final ImageLayout layout;
  private final cudnnTensorStruct rows;
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);
  private final List<Set> sets = new ArrayList<>();

  SoftmaxPlan(cudnnContext handle, KernelSpec spec, boolean gradient) {
    this.handle = handle;
    this.gradient = gradient;
    layout = new ImageLayout(spec.number(0), spec.number(1), 1, 1);
    rows = Cudnn.images(spec, layout);
  }

  @Override
  public void addSet(Operands operands) {
    long n = layout.elements();
    Pointer in = operands.normal(n);
    sets.add(new Set(in, gradient ? operands.normal(n) : in, operands.empty(n)));
  }

  @Override
  public List<Way> ways(Operands operands) {
    return List.of(
        set -> call(cudnn.CUDNN_SOFTMAX_MODE_INSTANCE, sets.get(set)),
        set -> call(cudnn.CUDNN_SOFTMAX_MODE_CHANNEL, sets.get(set)));
  }

  private void call(int mode, Set set) {
    int algorithm = cudnn.CUDNN_SOFTMAX_ACCURATE;
    Cudnn.check(
        gradient
            ? cudnn.cudnnSoftmaxBackward(
                handle, algorithm, mode, one, rows, set.y(), rows, set.in(), zero, rows, set.out())
            : cudnn.cudnnSoftmaxForward(
                handle, algorithm, mode, one, rows, set.in(), zero, rows, set.out()));
  }
}
