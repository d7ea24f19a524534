package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.PoolOps;
import io.gradus.backend.PoolShape;
import io.gradus.backend.plugin.jni.Native;
import org.jspecify.annotations.Nullable;

/** Pooling. */
interface PluginPool extends PluginCalls, PoolOps {
  @Override
  default void maxPool2dForward(Buffer x, Buffer y, @Nullable Buffer index, PoolShape shape) {
    Call c = call();
    c.require(
        Native.gr_max_pool2d_forward(
            c.at(x), c.at(y), c.at(index), struct(c, shape), Call.type(x), stream()));
  }

  @Override
  default void maxPool2dBackward(Buffer gradY, Buffer index, Buffer gradX, PoolShape shape) {
    Call c = call();
    c.require(
        Native.gr_max_pool2d_backward(
            c.at(gradY), c.at(index), c.at(gradX), struct(c, shape), Call.type(gradY), stream()));
  }

  @Override
  default void avgPool2dForward(Buffer x, Buffer y, PoolShape shape, boolean countPadding) {
    Call c = call();
    c.require(
        Native.gr_avg_pool2d_forward(
            c.at(x), c.at(y), struct(c, shape), countPadding ? 1 : 0, Call.type(x), stream()));
  }

  @Override
  default void avgPool2dBackward(
      Buffer gradY, Buffer gradX, PoolShape shape, boolean countPadding) {
    Call c = call();
    c.require(
        Native.gr_avg_pool2d_backward(
            c.at(gradY),
            c.at(gradX),
            struct(c, shape),
            countPadding ? 1 : 0,
            Call.type(gradY),
            stream()));
  }

  /** A gr_pool_shape. */
  private static long struct(Call c, PoolShape s) {
    return c.struct()
        .put((long) s.n())
        .put((long) s.h())
        .put((long) s.w())
        .put((long) s.c())
        .put((long) s.oh())
        .put((long) s.ow())
        .put((long) s.kh())
        .put((long) s.kw())
        .put((long) s.strideH())
        .put((long) s.strideW())
        .put((long) s.padH())
        .put((long) s.padW())
        .address();
  }
}
