package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import io.gradus.backend.PoolOps;
import io.gradus.backend.PoolShape;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Pooling: FLOAT32 by {@link MaxPoolKernels} and {@link AvgPoolKernels}. */
interface ReferencePool extends PoolOps {
  /** The threads that compute. */
  Parallel pool();

  @Override
  default void maxPool2dForward(Buffer x, Buffer y, @Nullable Buffer index, PoolShape shape) {
    if (y.dtype() != DType.FLOAT32 || y.length() == 0) {
      PoolOps.super.maxPool2dForward(x, y, index, shape);
    } else if (index == null) {
      MaxPoolKernels.values(pool(), shape, floats(x), at(x), floats(y), at(y));
    } else {
      int[] positions = (int[]) index.memory().resource();
      MaxPoolKernels.valuesAndPositions(
          pool(), shape, floats(x), at(x), floats(y), at(y), positions, at(index));
    }
  }

  @Override
  default void maxPool2dBackward(Buffer gradY, Buffer index, Buffer gradX, PoolShape shape) {
    if (gradX.dtype() != DType.FLOAT32 || gradX.length() == 0) {
      PoolOps.super.maxPool2dBackward(gradY, index, gradX, shape);
      return;
    }
    int[] positions = (int[]) index.memory().resource();
    MaxPoolKernels.backward(
        pool(), shape, floats(gradY), at(gradY), positions, at(index), floats(gradX), at(gradX));
  }

  @Override
  default void avgPool2dForward(Buffer x, Buffer y, PoolShape shape, boolean countPadding) {
    if (y.dtype() != DType.FLOAT32 || y.length() == 0) {
      PoolOps.super.avgPool2dForward(x, y, shape, countPadding);
      return;
    }
    AvgPoolKernels.forward(pool(), shape, countPadding, floats(x), at(x), floats(y), at(y));
  }

  @Override
  default void avgPool2dBackward(
      Buffer gradY, Buffer gradX, PoolShape shape, boolean countPadding) {
    if (gradX.dtype() != DType.FLOAT32 || gradX.length() == 0) {
      PoolOps.super.avgPool2dBackward(gradY, gradX, shape, countPadding);
      return;
    }
    AvgPoolKernels.backward(
        pool(), shape, countPadding, floats(gradY), at(gradY), floats(gradX), at(gradX));
  }
}
