package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ImageLayout;
import io.gradus.benchmarks.libraries.KernelSpec;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.cudnn.cudnnPoolingStruct;
import org.bytedeco.cuda.cudnn.cudnnTensorStruct;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Pooling of square images by 2x2, or its gradient. cuDNN keeps no indices: its gradient reads what
 * went in and came out instead.
 */
@SuppressWarnings("deprecation") // cuDNN 9 deprecates what is older than its graphs.
final class PoolPlan implements Plan {
  private static final int SIDE = 2;

  /** The gradient's four, of which a forward call has the first and the last. */
  private record Set(Pointer x, Pointer gradX, Pointer gradY, Pointer y) {}

  private final cudnnContext handle;
  private final boolean gradient;
  private final ImageLayout in;
  private final ImageLayout out;
  private final cudnnTensorStruct before;
  private final cudnnTensorStruct after;
  private final cudnnPoolingStruct pooling = new cudnnPoolingStruct();
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);
  private final List<Set> sets = new ArrayList<>();

  PoolPlan(cudnnContext handle, KernelSpec spec, int mode, boolean gradient) {
    this.handle = handle;
    this.gradient = gradient;
    int side = spec.number(1);
    in = new ImageLayout(spec.number(0), spec.number(2), side, side);
    out = new ImageLayout(in.n(), in.c(), side / SIDE, side / SIDE);
    before = Cudnn.images(spec, in);
    after = Cudnn.images(spec, out);
    Cudnn.check(cudnn.cudnnCreatePoolingDescriptor(pooling));
    Cudnn.check(
        cudnn.cudnnSetPooling2dDescriptor(
            pooling, mode, cudnn.CUDNN_NOT_PROPAGATE_NAN, SIDE, SIDE, 0, 0, SIDE, SIDE));
  }

  @Override
  public void addSet(Operands operands) {
    Pointer x = operands.normal(in.elements());
    Pointer y = operands.empty(out.elements());
    if (gradient) {
      Pointer gradX = operands.empty(in.elements());
      Set set = new Set(x, gradX, operands.normal(out.elements()), y);
      forward(set);
      sets.add(set);
    } else {
      sets.add(new Set(x, x, y, y));
    }
  }

  @Override
  public List<Way> ways(Operands operands) {
    return List.of(
        set -> {
          if (gradient) {
            backward(sets.get(set));
          } else {
            forward(sets.get(set));
          }
        });
  }

  private void forward(Set set) {
    Cudnn.check(
        cudnn.cudnnPoolingForward(handle, pooling, one, before, set.x(), zero, after, set.y()));
  }

  private void backward(Set set) {
    Cudnn.check(
        cudnn.cudnnPoolingBackward(
            handle,
            pooling,
            one,
            after,
            set.y(),
            after,
            set.gradY(),
            before,
            set.x(),
            zero,
            before,
            set.gradX()));
  }
}
