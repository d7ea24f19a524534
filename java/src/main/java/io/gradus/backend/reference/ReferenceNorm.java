package io.gradus.backend.reference;

import io.gradus.backend.BatchNormShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.GroupNormShape;
import io.gradus.backend.NormOps;
import io.gradus.backend.RowNormShape;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Normalisation in float32 loops; other types take the default bodies. */
interface ReferenceNorm extends NormOps {
  /** The threads that share the work. */
  Parallel pool();

  private static boolean isFloat(Buffer first, @Nullable Buffer... others) {
    boolean all = first.dtype() == DType.FLOAT32;
    for (Buffer other : others) {
      all &= other == null || other.dtype() == DType.FLOAT32;
    }
    return all;
  }

  @Override
  default void batchNormStatistics(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      BatchNormShape shape) {
    if (isFloat(x, mean, runningMean, runningVar)) {
      BatchNormKernels.statistics(pool(), x, mean, invStd, runningMean, runningVar, shape);
    } else {
      NormOps.super.batchNormStatistics(x, mean, invStd, runningMean, runningVar, shape);
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
    if (isFloat(x, mean, weight, bias, residual, y)) {
      BatchNormKernels.apply(pool(), x, mean, invStd, weight, bias, residual, y, shape);
    } else {
      NormOps.super.batchNormApply(x, mean, invStd, weight, bias, residual, y, shape);
    }
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
    if (isFloat(x, gradY, y, mean, weight)) {
      BatchNormGradients.backward(
          pool(),
          gradY,
          x,
          y,
          mean,
          invStd,
          weight,
          gradX,
          gradWeight,
          gradBias,
          gradResidual,
          shape);
    } else {
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

  @Override
  default void layerNormForward(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd,
      RowNormShape shape) {
    if (isFloat(x, mean, weight, bias)) {
      LayerNormKernels.forward(pool(), x, weight, bias, y, mean, invStd, shape);
    } else {
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
    if (isFloat(x, gradY, mean, weight)) {
      LayerNormKernels.backward(
          pool(), gradY, x, mean, invStd, weight, gradX, gradWeight, gradBias, shape);
    } else {
      NormOps.super.layerNormBackward(
          gradY, x, mean, invStd, weight, gradX, gradWeight, gradBias, shape);
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
    if (isFloat(x, mean, weight, bias)) {
      GroupNormKernels.forward(pool(), x, weight, bias, y, mean, invStd, shape);
    } else {
      NormOps.super.groupNormForward(x, weight, bias, y, mean, invStd, shape);
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
    if (isFloat(x, gradY, mean, weight)) {
      GroupNormKernels.backward(
          pool(), gradY, x, mean, invStd, weight, gradX, gradWeight, gradBias, shape);
    } else {
      NormOps.super.groupNormBackward(
          gradY, x, mean, invStd, weight, gradX, gradWeight, gradBias, shape);
    }
  }

  @Override
  default void rmsNormForward(
      Buffer x, @Nullable Buffer weight, Buffer y, Buffer invRms, RowNormShape shape) {
    if (isFloat(x, invRms, weight)) {
      RmsNormKernels.forward(pool(), x, weight, y, invRms, shape);
    } else {
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
    if (isFloat(x, gradY, invRms, weight)) {
      RmsNormKernels.backward(pool(), gradY, x, invRms, weight, gradX, gradWeight, shape);
    } else {
      NormOps.super.rmsNormBackward(gradY, x, invRms, weight, gradX, gradWeight, shape);
    }
  }
}
