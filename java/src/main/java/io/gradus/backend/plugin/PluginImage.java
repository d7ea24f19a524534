package io.gradus.backend.plugin;

import io.gradus.backend.AugmentShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.ImageOps;
import io.gradus.backend.plugin.jni.Native;
import org.jspecify.annotations.Nullable;

/** From image bytes to a network's input. */
interface PluginImage extends PluginCalls, ImageOps {
  @Override
  default void imageNormalise(
      Buffer images,
      @Nullable Buffer mean,
      @Nullable Buffer invStd,
      Buffer y,
      long pixels,
      long channels) {
    Call c = call();
    if (!c.ran(
        Native.gr_image_normalise(
            c.at(images),
            c.at(mean),
            c.at(invStd),
            c.at(y),
            pixels,
            channels,
            Call.type(y),
            stream()))) {
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
    Call c = call();
    if (!c.ran(
        Native.gr_image_augment(
            c.at(images),
            c.at(index),
            c.at(mean),
            c.at(invStd),
            c.at(rng),
            c.at(y),
            struct(c, shape, stream),
            Call.type(y),
            stream()))) {
      ImageOps.super.imageAugment(images, index, mean, invStd, rng, y, shape, stream);
    }
  }

  /** A gr_augment. */
  private static long struct(Call c, AugmentShape s, long stream) {
    return c.struct()
        .put(s.batch())
        .put(s.height())
        .put(s.width())
        .put(s.channels())
        .put(s.outHeight())
        .put(s.outWidth())
        .put(s.padding())
        .put(s.reflect())
        .put(s.crop())
        .put(s.flip())
        .put(s.translate())
        .put(s.cutout())
        .put(stream)
        .address();
  }
}
