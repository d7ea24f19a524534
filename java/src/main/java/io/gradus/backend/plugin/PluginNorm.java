package io.gradus.backend.plugin;

import io.gradus.backend.Activation;
import io.gradus.backend.Buffer;
import io.gradus.backend.NormOps;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Normalisation. */
interface PluginNorm extends PluginCalls, NormOps {
  @Override
  default void batchNormStatistics(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      long rows,
      long channels,
      double momentum,
      double eps) {
    Call c = call();
    int type = Call.type(x);
    DType running = runningMean == null ? typeOf(runningVar, mean) : runningMean.dtype();
    boolean alike = runningVar == null || runningVar.dtype() == running;
    try (Room room =
        room(Native.gr_batch_norm_statistics_scratch(rows, channels, type, stream()))) {
      if (!alike
          || !c.ran(
              Native.gr_batch_norm_statistics(
                  c.at(x),
                  c.at(mean),
                  c.at(invStd),
                  c.at(runningMean),
                  c.at(runningVar),
                  room.address(),
                  room.bytes(),
                  rows,
                  channels,
                  momentum,
                  eps,
                  type,
                  Call.code(running),
                  stream()))) {
        NormOps.super.batchNormStatistics(
            x, mean, invStd, runningMean, runningVar, rows, channels, momentum, eps);
      }
    }
  }

  @Override
  default void batchNormFinish(
      Buffer mean,
      Buffer variance,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      long rows,
      long channels,
      double momentum,
      double eps) {
    Call c = call();
    DType running = runningMean == null ? typeOf(runningVar, mean) : runningMean.dtype();
    boolean alike = runningVar == null || runningVar.dtype() == running;
    if (!alike
        || !c.ran(
            Native.gr_batch_norm_finish(
                c.at(mean),
                c.at(variance),
                c.at(invStd),
                c.at(runningMean),
                c.at(runningVar),
                rows,
                channels,
                momentum,
                eps,
                Call.type(invStd),
                Call.code(running),
                stream()))) {
      NormOps.super.batchNormFinish(
          mean, variance, invStd, runningMean, runningVar, rows, channels, momentum, eps);
    }
  }

  @Override
  default void batchNormApply(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      long rows,
      long channels,
      Activation activation) {
    if (!ranApply(x, mean, invStd, weight, bias, residual, y, null, rows, channels, activation)) {
      NormOps.super.batchNormApply(
          x, mean, invStd, weight, bias, residual, y, rows, channels, activation);
    }
  }

  @Override
  default long batchNormMaskWords(long elements) {
    return (elements + Integer.SIZE - 1) / Integer.SIZE;
  }

  @Override
  default boolean batchNormApplyMasked(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      Buffer mask,
      long rows,
      long channels) {
    return ranApply(
        x, mean, invStd, weight, bias, residual, y, mask, rows, channels, Activation.RELU);
  }

  private boolean ranApply(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      @Nullable Buffer mask,
      long rows,
      long channels,
      Activation activation) {
    Call c = call();
    return c.ran(
        Native.gr_batch_norm_apply(
            c.at(x),
            c.at(mean),
            c.at(invStd),
            c.at(weight),
            c.at(bias),
            c.at(residual),
            c.at(y),
            c.at(mask),
            rows,
            channels,
            Call.code(activation),
            Call.type(x),
            Call.code(typeOf(weight, mean)),
            Call.code(typeOf(bias, mean)),
            stream()));
  }

  @Override
  default void batchNormBackward(
      Buffer gradY,
      Buffer x,
      @Nullable Buffer y,
      @Nullable Buffer mask,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      @Nullable Buffer gradResidual,
      long rows,
      long channels,
      boolean training) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_batch_norm_backward_scratch(rows, channels, type, stream()))) {
      if (!c.ran(
          Native.gr_batch_norm_backward(
              c.at(gradY),
              c.at(x),
              c.at(y),
              c.at(mask),
              c.at(mean),
              c.at(invStd),
              c.at(weight),
              c.at(gradX),
              c.at(gradWeight),
              c.at(gradBias),
              c.at(gradResidual),
              room.address(),
              room.bytes(),
              rows,
              channels,
              training ? 1 : 0,
              type,
              Call.code(typeOf(weight, mean)),
              Call.code(typeOf(gradBias, mean)),
              stream()))) {
        NormOps.super.batchNormBackward(
            gradY,
            x,
            y,
            mask,
            mean,
            invStd,
            weight,
            gradX,
            gradWeight,
            gradBias,
            gradResidual,
            rows,
            channels,
            training);
      }
    }
  }

  @Override
  default void layerNormForward(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd,
      long rows,
      long cols,
      double eps) {
    Call c = call();
    if (!c.ran(
        Native.gr_layer_norm_forward(
            c.at(x),
            c.at(weight),
            c.at(bias),
            c.at(y),
            c.at(mean),
            c.at(invStd),
            rows,
            cols,
            eps,
            Call.type(x),
            Call.code(typeOf(weight, mean)),
            Call.code(typeOf(bias, mean)),
            stream()))) {
      NormOps.super.layerNormForward(x, weight, bias, y, mean, invStd, rows, cols, eps);
    }
  }

  @Override
  default void layerNormBackward(
      Buffer gradY,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      long rows,
      long cols) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_layer_norm_backward_scratch(rows, cols, type, stream()))) {
      if (!c.ran(
          Native.gr_layer_norm_backward(
              c.at(gradY),
              c.at(x),
              c.at(mean),
              c.at(invStd),
              c.at(weight),
              c.at(gradX),
              c.at(gradWeight),
              c.at(gradBias),
              room.address(),
              room.bytes(),
              rows,
              cols,
              type,
              Call.code(typeOf(weight, mean)),
              Call.code(typeOf(gradBias, mean)),
              stream()))) {
        NormOps.super.layerNormBackward(
            gradY, x, mean, invStd, weight, gradX, gradWeight, gradBias, rows, cols);
      }
    }
  }

  @Override
  default void groupNormForward(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd,
      long samples,
      long positions,
      long channels,
      long groups,
      double eps) {
    Call c = call();
    int type = Call.type(x);
    long bytes =
        Native.gr_group_norm_forward_scratch(samples, positions, channels, groups, type, stream());
    try (Room room = room(bytes)) {
      if (!c.ran(
          Native.gr_group_norm_forward(
              c.at(x),
              c.at(weight),
              c.at(bias),
              c.at(y),
              c.at(mean),
              c.at(invStd),
              room.address(),
              room.bytes(),
              samples,
              positions,
              channels,
              groups,
              eps,
              type,
              Call.code(typeOf(weight, mean)),
              Call.code(typeOf(bias, mean)),
              stream()))) {
        NormOps.super.groupNormForward(
            x, weight, bias, y, mean, invStd, samples, positions, channels, groups, eps);
      }
    }
  }

  @Override
  default void groupNormBackward(
      Buffer gradY,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      long samples,
      long positions,
      long channels,
      long groups) {
    Call c = call();
    int type = Call.type(x);
    long bytes =
        Native.gr_group_norm_backward_scratch(samples, positions, channels, groups, type, stream());
    try (Room room = room(bytes)) {
      if (!c.ran(
          Native.gr_group_norm_backward(
              c.at(gradY),
              c.at(x),
              c.at(mean),
              c.at(invStd),
              c.at(weight),
              c.at(gradX),
              c.at(gradWeight),
              c.at(gradBias),
              room.address(),
              room.bytes(),
              samples,
              positions,
              channels,
              groups,
              type,
              Call.code(typeOf(weight, mean)),
              Call.code(typeOf(gradBias, mean)),
              stream()))) {
        NormOps.super.groupNormBackward(
            gradY,
            x,
            mean,
            invStd,
            weight,
            gradX,
            gradWeight,
            gradBias,
            samples,
            positions,
            channels,
            groups);
      }
    }
  }

  @Override
  default void rmsNormForward(
      Buffer x,
      @Nullable Buffer weight,
      Buffer y,
      Buffer invRms,
      long rows,
      long cols,
      double eps) {
    Call c = call();
    if (!c.ran(
        Native.gr_rms_norm_forward(
            c.at(x),
            c.at(weight),
            c.at(y),
            c.at(invRms),
            rows,
            cols,
            eps,
            Call.type(x),
            Call.code(typeOf(weight, invRms)),
            stream()))) {
      NormOps.super.rmsNormForward(x, weight, y, invRms, rows, cols, eps);
    }
  }

  @Override
  default void rmsNormBackward(
      Buffer gradY,
      Buffer x,
      Buffer invRms,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      long rows,
      long cols) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_rms_norm_backward_scratch(rows, cols, type, stream()))) {
      if (!c.ran(
          Native.gr_rms_norm_backward(
              c.at(gradY),
              c.at(x),
              c.at(invRms),
              c.at(weight),
              c.at(gradX),
              c.at(gradWeight),
              room.address(),
              room.bytes(),
              rows,
              cols,
              type,
              Call.code(typeOf(weight, invRms)),
              stream()))) {
        NormOps.super.rmsNormBackward(gradY, x, invRms, weight, gradX, gradWeight, rows, cols);
      }
    }
  }

  /** The type of a vector; that of the statistics where it is absent and nobody looks. */
  private static DType typeOf(@Nullable Buffer vector, Buffer statistics) {
    return vector == null ? statistics.dtype() : vector.dtype();
  }
}
