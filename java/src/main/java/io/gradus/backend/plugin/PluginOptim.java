package io.gradus.backend.plugin;

import io.gradus.backend.AdamScalars;
import io.gradus.backend.Buffer;
import io.gradus.backend.OptimOps;
import io.gradus.backend.RmsPropScalars;
import io.gradus.backend.SgdScalars;
import io.gradus.backend.plugin.jni.Native;
import org.jspecify.annotations.Nullable;

/** Optimizer steps, each a single launch over the arena. */
interface PluginOptim extends PluginCalls, OptimOps {
  @Override
  default void sgd(
      Buffer grad,
      Buffer param,
      @Nullable Buffer velocity,
      Buffer lr,
      Buffer step,
      long n,
      SgdScalars scalars,
      @Nullable Buffer foundInf) {
    Call c = call();
    long struct =
        c.struct()
            .put(scalars.momentum())
            .put(scalars.dampening())
            .put(scalars.weightDecay())
            .put(scalars.nesterov())
            .address();
    c.require(
        Native.gr_sgd(
            c.at(grad),
            c.at(param),
            c.at(velocity),
            c.at(lr),
            c.at(step),
            n,
            struct,
            extras(c, foundInf),
            Call.type(param),
            stream()));
  }

  @Override
  default void adam(
      Buffer grad,
      Buffer param,
      Buffer mean,
      Buffer variance,
      Buffer lr,
      Buffer step,
      long n,
      AdamScalars scalars,
      @Nullable Buffer foundInf) {
    Call c = call();
    long struct =
        c.struct()
            .put(scalars.beta1())
            .put(scalars.beta2())
            .put(scalars.eps())
            .put(scalars.weightDecay())
            .put(scalars.decoupled())
            .address();
    c.require(
        Native.gr_adam(
            c.at(grad),
            c.at(param),
            c.at(mean),
            c.at(variance),
            c.at(lr),
            c.at(step),
            n,
            struct,
            extras(c, foundInf),
            Call.type(param),
            stream()));
  }

  @Override
  default void rmsProp(
      Buffer grad,
      Buffer param,
      Buffer square,
      @Nullable Buffer mean,
      @Nullable Buffer velocity,
      Buffer lr,
      long n,
      RmsPropScalars scalars,
      @Nullable Buffer foundInf) {
    Call c = call();
    long struct =
        c.struct()
            .put(scalars.alpha())
            .put(scalars.eps())
            .put(scalars.momentum())
            .put(scalars.weightDecay())
            .address();
    c.require(
        Native.gr_rms_prop(
            c.at(grad),
            c.at(param),
            c.at(square),
            c.at(mean),
            c.at(velocity),
            c.at(lr),
            n,
            struct,
            extras(c, foundInf),
            Call.type(param),
            stream()));
  }

  @Override
  default void adagrad(
      Buffer grad,
      Buffer param,
      Buffer sum,
      Buffer lr,
      Buffer step,
      long n,
      double lrDecay,
      double eps,
      double weightDecay,
      @Nullable Buffer foundInf) {
    Call c = call();
    long scalars = c.struct().put(lrDecay).put(eps).put(weightDecay).address();
    c.require(
        Native.gr_adagrad(
            c.at(grad),
            c.at(param),
            c.at(sum),
            c.at(lr),
            c.at(step),
            n,
            scalars,
            extras(c, foundInf),
            Call.type(param),
            stream()));
  }

  @Override
  default void lion(
      Buffer grad,
      Buffer param,
      Buffer mean,
      Buffer lr,
      long n,
      double beta1,
      double beta2,
      double weightDecay,
      @Nullable Buffer foundInf) {
    Call c = call();
    long scalars = c.struct().put(beta1).put(beta2).put(weightDecay).address();
    c.require(
        Native.gr_lion(
            c.at(grad),
            c.at(param),
            c.at(mean),
            c.at(lr),
            n,
            scalars,
            extras(c, foundInf),
            Call.type(param),
            stream()));
  }

  @Override
  default void sumOfSquares(Buffer x, Buffer out, long n) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_sum_of_squares_scratch(n, type, stream()))) {
      c.require(
          Native.gr_sum_of_squares(
              c.at(x), c.at(out), room.address(), room.bytes(), n, type, stream()));
    }
  }

  @Override
  default void unscaleCheck(Buffer grad, Buffer foundInf, Buffer gradScale, long n) {
    Call c = call();
    c.require(
        Native.gr_unscale_check(
            c.at(grad), c.at(foundInf), c.at(gradScale), n, Call.type(grad), stream()));
  }

  @Override
  default void advanceStep(Buffer steps, long n, @Nullable Buffer foundInf) {
    Call c = call();
    c.require(Native.gr_advance_step(c.at(steps), c.at(foundInf), n, stream()));
  }

  @Override
  default void lossScaleUpdate(
      Buffer scale,
      @Nullable Buffer inverse,
      Buffer growthTracker,
      Buffer foundInf,
      double growth,
      double backoff,
      long interval) {
    Call c = call();
    c.require(
        Native.gr_loss_scale_update(
            c.at(scale),
            c.at(inverse),
            c.at(growthTracker),
            c.at(foundInf),
            growth,
            backoff,
            interval,
            stream()));
  }

  /** A gr_optim_extras after the struct of the call; 0 where there is nothing to say. */
  private static long extras(Call c, @Nullable Buffer foundInf) {
    return foundInf == null ? 0 : c.second().skip(2).put(c.at(foundInf)).skip(8).secondAddress();
  }
}
