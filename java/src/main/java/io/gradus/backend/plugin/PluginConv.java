package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.ConvOps;
import io.gradus.backend.ConvShape;
import io.gradus.backend.ProductPrecision;
import io.gradus.backend.plugin.jni.Native;
import org.jspecify.annotations.Nullable;

/** Convolution. */
interface PluginConv extends PluginCalls, ConvOps {
  /** Fields at the end of a gr_conv that say how x is normalised. */
  int NORM_FIELDS = 7;

  @Override
  default void conv2dForward(Buffer x, Buffer w, @Nullable Buffer bias, Buffer y, ConvShape shape) {
    if (!ranForward(x, w, bias, y, null, shape)) {
      ConvOps.super.conv2dForward(x, w, bias, y, shape);
    }
  }

  @Override
  default void conv2dForwardStatistics(
      Buffer x, Buffer w, @Nullable Buffer bias, Buffer y, Buffer statistics, ConvShape shape) {
    if (!ranForward(x, w, bias, y, statistics, shape)) {
      ConvOps.super.conv2dForwardStatistics(x, w, bias, y, statistics, shape);
    }
  }

  private boolean ranForward(
      Buffer x,
      Buffer w,
      @Nullable Buffer bias,
      Buffer y,
      @Nullable Buffer statistics,
      ConvShape shape) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_conv2d_forward_scratch(struct(c, shape), type, stream()))) {
      return c.ran(
          Native.gr_conv2d_forward(
              c.at(x),
              c.at(w),
              c.at(bias),
              0,
              c.at(y),
              c.at(statistics),
              room.address(),
              room.bytes(),
              struct(c, shape),
              type,
              stream()));
    }
  }

  @Override
  default void conv2dBackwardInput(Buffer gradY, Buffer w, Buffer gradX, ConvShape shape) {
    Call c = call();
    int type = Call.type(gradY);
    try (Room room =
        room(Native.gr_conv2d_backward_input_scratch(struct(c, shape), type, stream()))) {
      if (!c.ran(
          Native.gr_conv2d_backward_input(
              c.at(gradY),
              c.at(w),
              c.at(gradX),
              room.address(),
              room.bytes(),
              struct(c, shape),
              type,
              stream()))) {
        ConvOps.super.conv2dBackwardInput(gradY, w, gradX, shape);
      }
    }
  }

  @Override
  default void conv2dBackwardWeight(Buffer x, Buffer gradY, Buffer gradW, ConvShape shape) {
    Call c = call();
    int type = Call.type(x);
    boolean wide = gradW.dtype() != x.dtype();
    try (Room room =
        room(
            Native.gr_conv2d_backward_weight_scratch(
                struct(c, shape, wide).skip(NORM_FIELDS).address(), type, stream()))) {
      if (!c.ran(
          Native.gr_conv2d_backward_weight(
              c.at(x),
              c.at(gradY),
              c.at(gradW),
              room.address(),
              room.bytes(),
              struct(c, shape, wide).skip(NORM_FIELDS).address(),
              type,
              stream()))) {
        ConvOps.super.conv2dBackwardWeight(x, gradY, gradW, shape);
      }
    }
  }

  /** A gr_conv without epilogue, of x as it is. */
  private static long struct(Call c, ConvShape s) {
    return struct(c, s, false).skip(NORM_FIELDS).address();
  }

  /** A gr_conv without epilogue, but for its last fields: {@link #NORM_FIELDS}. */
  static Call struct(Call c, ConvShape s, boolean wideWeights) {
    return c.struct()
        .put((long) s.n())
        .put((long) s.h())
        .put((long) s.w())
        .put((long) s.c())
        .put((long) s.o())
        .put((long) s.kh())
        .put((long) s.kw())
        .put((long) s.strideH())
        .put((long) s.strideW())
        .put((long) s.padH())
        .put((long) s.padW())
        .put((long) s.dilationH())
        .put((long) s.dilationW())
        .put((long) s.groups())
        .put((long) s.oh())
        .put((long) s.ow())
        .skip(1)
        .put((long) Call.code(ProductPrecision.current()))
        .skip(1)
        .put(wideWeights);
  }
}
