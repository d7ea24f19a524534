package io.gradus.backend.plugin;

import io.gradus.backend.BatchNormShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.GroupNormShape;
import io.gradus.backend.NormOps;
import io.gradus.backend.RowNormShape;
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
      BatchNormShape shape) {
    Call c = call();
    int type = Call.type(x);
    DType running = runningMean == null ? typeOf(runningVar, mean) : runningMean.dtype();
    boolean alike = runningVar == null || runningVar.dtype() == running;
    try (Room room =
        room(
            Native.gr_batch_norm_statistics_scratch(
                shape.rows(), shape.channels(), type, stream()))) {
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
                  shape.rows(),
                  shape.channels(),
                  shape.momentum(),
                  shape.eps(),
                  type,
                  Call.code(running),
                  stream()))) {
        NormOps.super.batchNormStatistics(x, mean, invStd, runningMean, runningVar, shape);
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
      BatchNormShape shape) {
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
                shape.rows(),
                shape.channels(),
                shape.momentum(),
                shape.eps(),
                Call.type(invStd),
                Call.code(running),
                stream()))) {
      NormOps.super.batchNormFinish(mean, variance, invStd, runningMean, runningVar, shape);
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
      BatchNormShape shape) {
    if (!ranApply(x, mean, invStd, weight, bias, residual, y, null, shape)) {
      NormOps.super.batchNormApply(x, mean, invStd, weight, bias, residual, y, shape);
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
      BatchNormShape shape) {
    return ranApply(x, mean, invStd, weight, bias, residual, y, mask, shape);
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
      BatchNormShape shape) {
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
            shape.rows(),
            shape.channels(),
            Call.code(shape.activation()),
            Call.type(x),
            Call.code(typeOf(weight, mean)),
            Call.code(typeOf(bias, mean)),
            stream()));
  }

  @Override
  default boolean batchNormForward(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      @Nullable Buffer mask,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      BatchNormShape shape) {
    Call c = call();
    int type = Call.type(x);
    DType running = runningMean == null ? typeOf(runningVar, mean) : runningMean.dtype();
    boolean alike = runningVar == null || runningVar.dtype() == running;
    try (Room room =
        room(
            Native.gr_batch_norm_forward_scratch(shape.rows(), shape.channels(), type, stream()))) {
      if (alike
          && c.ran(
              Native.gr_batch_norm_forward(
                  c.at(x),
                  c.at(weight),
                  c.at(bias),
                  c.at(residual),
                  c.at(y),
                  c.at(mask),
                  c.at(mean),
                  c.at(invStd),
                  c.at(runningMean),
                  c.at(runningVar),
                  room.address(),
                  room.bytes(),
                  shape.rows(),
                  shape.channels(),
                  shape.momentum(),
                  shape.eps(),
                  Call.code(shape.activation()),
                  type,
                  Call.code(typeOf(weight, mean)),
                  Call.code(typeOf(bias, mean)),
                  Call.code(running),
                  stream()))) {
        return mask != null;
      }
    }
    return NormOps.super.batchNormForward(
        x, weight, bias, residual, y, mask, mean, invStd, runningMean, runningVar, shape);
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
      BatchNormShape shape) {
    Call c = call();
    int type = Call.type(x);
    try (Room room =
        room(
            Native.gr_batch_norm_backward_scratch(
                shape.rows(), shape.channels(), type, stream()))) {
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
              shape.rows(),
              shape.channels(),
              shape.training() ? 1 : 0,
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
            shape);
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
      RowNormShape shape) {
    Call c = call();
    if (!c.ran(
        Native.gr_layer_norm_forward(
            c.at(x),
            c.at(weight),
            c.at(bias),
            c.at(y),
            c.at(mean),
            c.at(invStd),
            shape.rows(),
            shape.cols(),
            shape.eps(),
            Call.type(x),
            Call.code(typeOf(weight, mean)),
            Call.code(typeOf(bias, mean)),
            stream()))) {
      NormOps.super.layerNormForward(x, weight, bias, y, mean, invStd, shape);
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
      RowNormShape shape) {
    Call c = call();
    int type = Call.type(x);
    try (Room room =
        room(Native.gr_layer_norm_backward_scratch(shape.rows(), shape.cols(), type, stream()))) {
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
              shape.rows(),
              shape.cols(),
              type,
              Call.code(typeOf(weight, mean)),
              Call.code(typeOf(gradBias, mean)),
              stream()))) {
        NormOps.super.layerNormBackward(
            gradY, x, mean, invStd, weight, gradX, gradWeight, gradBias, shape);
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
      GroupNormShape shape) {
    Call c = call();
    int type = Call.type(x);
    long bytes =
        Native.gr_group_norm_forward_scratch(
            shape.samples(), shape.positions(), shape.channels(), shape.groups(), type, stream());
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
              shape.samples(),
              shape.positions(),
              shape.channels(),
              shape.groups(),
              shape.eps(),
              type,
              Call.code(typeOf(weight, mean)),
              Call.code(typeOf(bias, mean)),
              stream()))) {
        NormOps.super.groupNormForward(x, weight, bias, y, mean, invStd, shape);
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
      GroupNormShape shape) {
    Call c = call();
    int type = Call.type(x);
    long bytes =
        Native.gr_group_norm_backward_scratch(
            shape.samples(), shape.positions(), shape.channels(), shape.groups(), type, stream());
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
              shape.samples(),
              shape.positions(),
              shape.channels(),
              shape.groups(),
              type,
              Call.code(typeOf(weight, mean)),
              Call.code(typeOf(gradBias, mean)),
              stream()))) {
        NormOps.super.groupNormBackward(
            gradY, x, mean, invStd, weight, gradX, gradWeight, gradBias, shape);
      }
    }
  }

  @Override
  default void rmsNormForward(
      Buffer x, @Nullable Buffer weight, Buffer y, Buffer invRms, RowNormShape shape) {
    Call c = call();
    if (!c.ran(
        Native.gr_rms_norm_forward(
            c.at(x),
            c.at(weight),
            c.at(y),
            c.at(invRms),
            shape.rows(),
            shape.cols(),
            shape.eps(),
            Call.type(x),
            Call.code(typeOf(weight, invRms)),
            stream()))) {
      NormOps.super.rmsNormForward(x, weight, y, invRms, shape);
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
      RowNormShape shape) {
    Call c = call();
    int type = Call.type(x);
    try (Room room =
        room(Native.gr_rms_norm_backward_scratch(shape.rows(), shape.cols(), type, stream()))) {
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
              shape.rows(),
              shape.cols(),
              type,
              Call.code(typeOf(weight, invRms)),
              stream()))) {
        NormOps.super.rmsNormBackward(gradY, x, invRms, weight, gradX, gradWeight, shape);
      }
    }
  }

  /** The type of a vector; that of the statistics where it is absent and nobody looks. */
  private static DType typeOf(@Nullable Buffer vector, Buffer statistics) {
    return vector == null ? statistics.dtype() : vector.dtype();
  }
}
