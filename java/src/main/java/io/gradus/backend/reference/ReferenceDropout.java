package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.Buffer;
import io.gradus.backend.DropoutOps;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Dropout in float32 loops; other types take the default bodies. */
interface ReferenceDropout extends DropoutOps {
  /** The threads that share the work. */
  Parallel pool();

  @Override
  default void dropout(Buffer x, Buffer rng, Buffer y, long n, long stream, double p) {
    if (x.dtype() != DType.FLOAT32) {
      DropoutOps.super.dropout(x, rng, y, n, stream, p);
      return;
    }
    DropoutKernels kernels = new DropoutKernels(rng, stream, p);
    kernels.elements(pool(), floats(x), at(x), floats(y), at(y), Math.toIntExact(n));
  }

  @Override
  default void biasDropoutResidual(
      Buffer x,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer rng,
      Buffer y,
      long rows,
      long cols,
      long stream,
      double p) {
    if (x.dtype() != DType.FLOAT32) {
      DropoutOps.super.biasDropoutResidual(x, bias, residual, rng, y, rows, cols, stream, p);
      return;
    }
    DropoutKernels kernels = new DropoutKernels(rng, stream, p);
    kernels.biasResidual(pool(), x, bias, residual, y, Math.toIntExact(cols));
  }

  @Override
  default void dropoutChannels(
      Buffer x,
      Buffer rng,
      Buffer y,
      long samples,
      long positions,
      long channels,
      long stream,
      double p) {
    if (x.dtype() != DType.FLOAT32) {
      DropoutOps.super.dropoutChannels(x, rng, y, samples, positions, channels, stream, p);
      return;
    }
    DropoutKernels kernels = new DropoutKernels(rng, stream, p);
    kernels.channels(
        pool(),
        floats(x),
        at(x),
        floats(y),
        at(y),
        Math.toIntExact(samples),
        Math.toIntExact(positions),
        Math.toIntExact(channels));
  }
}
