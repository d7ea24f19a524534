package io.gradus.backend.reference;

import io.gradus.backend.AugmentShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.ImageOps;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Images to float32 in one pass; other types take the default bodies. */
interface ReferenceImage extends ImageOps {
  /** The threads that share the work. */
  Parallel pool();

  @Override
  default void imageNormalise(
      Buffer images,
      @Nullable Buffer mean,
      @Nullable Buffer invStd,
      Buffer y,
      long pixels,
      long channels) {
    if (y.dtype() == DType.FLOAT32) {
      new ImageKernels(pool(), mean, invStd, channels).normalise(images, y, pixels);
    } else {
      ImageOps.super.imageNormalise(images, mean, invStd, y, pixels, channels);
    }
  }

  @Override
  default void imageAugment(
      Buffer images,
      Buffer index,
      @Nullable Buffer mean,
      @Nullable Buffer invStd,
      @Nullable Buffer rng,
      Buffer y,
      AugmentShape shape,
      long stream) {
    if (y.dtype() == DType.FLOAT32) {
      new ImageKernels(pool(), mean, invStd, shape.channels())
          .augment(images, index, rng, y, shape, stream);
    } else {
      ImageOps.super.imageAugment(images, index, mean, invStd, rng, y, shape, stream);
    }
  }
}
