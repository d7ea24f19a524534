package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.ConvShape;
import io.gradus.backend.NormalisedConvOps;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Convolution of a normalised image. */
interface PluginNormalisedConv extends PluginConv, PluginNorm, NormalisedConvOps {
  @Override
  default boolean conv2dNormalises(ConvShape shape, DType dtype) {
    long struct = PluginConv.struct(call(), shape, false).skip(PluginConv.NORM_FIELDS).address();
    return Native.gr_conv2d_normalises(struct, Call.code(dtype), stream()) != 0;
  }

  @Override
  default boolean conv2dNormalisedForward(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer shift,
      Buffer w,
      @Nullable Buffer bias,
      Buffer y,
      @Nullable Buffer statistics,
      @Nullable Buffer mask,
      ConvShape shape) {
    Call c = call();
    int type = Call.type(x);
    long asked = struct(c, mean, invStd, weight, shift, mask, shape, false);
    try (Room room = room(Native.gr_conv2d_forward_scratch(asked, type, stream()))) {
      if (c.ran(
          Native.gr_conv2d_forward(
              c.at(x),
              c.at(w),
              c.at(bias),
              0,
              c.at(y),
              c.at(statistics),
              room.address(),
              room.bytes(),
              struct(c, mean, invStd, weight, shift, mask, shape, false),
              type,
              stream()))) {
        return mask != null;
      }
    }
    return NormalisedConvOps.super.conv2dNormalisedForward(
        x, mean, invStd, weight, shift, w, bias, y, statistics, mask, shape);
  }

  @Override
  default void conv2dNormalisedBackwardWeight(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer shift,
      Buffer gradY,
      Buffer gradW,
      ConvShape shape) {
    Call c = call();
    int type = Call.type(x);
    boolean wide = gradW.dtype() != x.dtype();
    long asked = struct(c, mean, invStd, weight, shift, null, shape, wide);
    try (Room room = room(Native.gr_conv2d_backward_weight_scratch(asked, type, stream()))) {
      if (!c.ran(
          Native.gr_conv2d_backward_weight(
              c.at(x),
              c.at(gradY),
              c.at(gradW),
              room.address(),
              room.bytes(),
              struct(c, mean, invStd, weight, shift, null, shape, wide),
              type,
              stream()))) {
        NormalisedConvOps.super.conv2dNormalisedBackwardWeight(
            x, mean, invStd, weight, shift, gradY, gradW, shape);
      }
    }
  }

  private static long struct(
      Call c,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer shift,
      @Nullable Buffer mask,
      ConvShape shape,
      boolean wideWeights) {
    return PluginConv.struct(c, shape, wideWeights)
        .put(c.at(mean))
        .put(c.at(invStd))
        .put(c.at(weight))
        .put(c.at(shift))
        .put(c.at(mask))
        .put((long) Call.type(weight == null ? mean : weight))
        .put((long) Call.type(shift == null ? mean : shift))
        .address();
  }
}
