package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import io.gradus.backend.ConvOps;
import io.gradus.backend.ConvShape;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Convolution: FLOAT32 by {@link ConvKernels}, which make no patch matrix. */
interface ReferenceConv extends ConvOps {
  /** The threads that compute. */
  Parallel pool();

  @Override
  default void conv2dForward(Buffer x, Buffer w, @Nullable Buffer bias, Buffer y, ConvShape shape) {
    if (y.dtype() != DType.FLOAT32 || y.length() == 0) {
      ConvOps.super.conv2dForward(x, w, bias, y, shape);
      return;
    }
    float @Nullable [] b = bias == null ? null : floats(bias);
    int bAt = bias == null ? 0 : at(bias);
    ConvKernels.forward(
        pool(), shape, floats(x), at(x), floats(w), at(w), b, bAt, floats(y), at(y));
  }

  @Override
  default void conv2dBackwardInput(Buffer gradY, Buffer w, Buffer gradX, ConvShape shape) {
    if (gradX.dtype() != DType.FLOAT32 || gradX.length() == 0) {
      ConvOps.super.conv2dBackwardInput(gradY, w, gradX, shape);
      return;
    }
    ConvKernels.backwardInput(
        pool(), shape, floats(gradY), at(gradY), floats(w), at(w), floats(gradX), at(gradX));
  }

  @Override
  default void conv2dBackwardWeight(Buffer x, Buffer gradY, Buffer gradW, ConvShape shape) {
    if (x.dtype() != DType.FLOAT32 || gradY.length() == 0) {
      ConvOps.super.conv2dBackwardWeight(x, gradY, gradW, shape);
      return;
    }
    ConvKernels.backwardWeight(
        pool(), shape, floats(x), at(x), floats(gradY), at(gradY), floats(gradW), at(gradW));
  }
}
