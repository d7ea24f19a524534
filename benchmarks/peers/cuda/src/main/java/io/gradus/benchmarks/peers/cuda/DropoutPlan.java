package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ImageLayout;
import io.gradus.benchmarks.libraries.KernelSpec;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.cudnn.cudnnDropoutStruct;
import org.bytedeco.cuda.cudnn.cudnnTensorStruct;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.SizeTPointer;

/** Dropout of half the elements, which keeps the mask besides. */
final class DropoutPlan implements Plan {
  private static final float SHARE = 0.5f;
  private static final long SEED = 1;

  private record Set(Pointer x, Pointer y, Pointer mask) {}

  private final cudnnContext handle;
  private final ImageLayout layout;
  private final cudnnTensorStruct elements;
  private final cudnnDropoutStruct dropout = new cudnnDropoutStruct();
  private final long maskBytes;
  private final List<Set> sets = new ArrayList<>();

  DropoutPlan(cudnnContext handle, KernelSpec spec) {
    this.handle = handle;
    layout = new ImageLayout(1, 1, 1, spec.number(0));
    elements = Cudnn.images(spec, layout);
    Cudnn.check(cudnn.cudnnCreateDropoutDescriptor(dropout));
    SizeTPointer bytes = new SizeTPointer(1);
    Cudnn.check(cudnn.cudnnDropoutGetReserveSpaceSize(elements, bytes));
    maskBytes = bytes.get();
  }

  @Override
  public void addSet(Operands operands) {
    if (sets.isEmpty()) {
      SizeTPointer bytes = new SizeTPointer(1);
      Cudnn.check(cudnn.cudnnDropoutGetStatesSize(handle, bytes));
      Pointer states = operands.scratch(bytes.get());
      Cudnn.check(
          cudnn.cudnnSetDropoutDescriptor(dropout, handle, SHARE, states, bytes.get(), SEED));
    }
    long n = layout.elements();
    sets.add(new Set(operands.normal(n), operands.empty(n), operands.room(maskBytes)));
  }

  @Override
  public List<Way> ways(Operands operands) {
    return List.of(
        index -> {
          Set set = sets.get(index);
          Cudnn.check(
              cudnn.cudnnDropoutForward(
                  handle, dropout, elements, set.x(), elements, set.y(), set.mask(), maskBytes));
        });
  }
}
