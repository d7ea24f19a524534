package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Convolutions of an image that is normalised and rectified where it is read:
 *
 * <pre>{@code
 * z = max((x - mean) invStd weight + shift, 0), rounded to the type of x;   y = conv2d(z, w) + bias
 * }</pre>
 *
 * A kernel that computes z on its way into the product spares writing it and reading it back. The
 * default bodies write z to scratch memory; both give the same bits where the product's sums have
 * the same order.
 */
public interface NormalisedConvOps extends ConvOps, NormOps {
  /**
   * Whether this backend computes z on the way, and should gain by it over a step of training.
   * Where not, {@link #batchNormApply} and {@link #conv2dForward} one after the other do no worse.
   *
   * @param shape sizes of the convolution
   * @param dtype of x
   */
  default boolean conv2dNormalises(ConvShape shape, DType dtype) {
    return false;
  }

  /**
   * The convolution of z.
   *
   * @param x [n, h, w, c]
   * @param mean [c]
   * @param invStd [c]
   * @param weight [c], or null for 1
   * @param shift [c], or null for 0
   * @param w [o, kh, kw, c / groups]
   * @param bias [o], or null for 0
   * @param y [n, oh, ow, o]
   * @param statistics as that of {@link #conv2dForwardStatistics}, or null
   * @param mask as that of {@link #batchNormApplyMasked}, of z, or null
   * @param shape sizes
   * @return whether the mask was written: false where it is null or there is no kernel for it
   */
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
    try (Scratch scratch = new Scratch(this)) {
      Buffer z = scratch.take(x.dtype(), x.length());
      BatchNormShape norm = norm(shape);
      boolean masked =
          mask != null && batchNormApplyMasked(x, mean, invStd, weight, shift, null, z, mask, norm);
      if (!masked) {
        batchNormApply(x, mean, invStd, weight, shift, null, z, norm);
      }
      if (statistics == null) {
        conv2dForward(z, w, bias, y, shape);
      } else {
        conv2dForwardStatistics(z, w, bias, y, statistics, shape);
      }
      return masked;
    }
  }

  /**
   * Gradient of {@link #conv2dNormalisedForward} with respect to w. That with respect to z is
   * {@link #conv2dBackwardInput}, for {@link #batchNormBackward} to go on from.
   *
   * @param x [n, h, w, c]
   * @param mean [c]
   * @param invStd [c]
   * @param weight [c], or null for 1
   * @param shift [c], or null for 0
   * @param gradY [n, oh, ow, o]
   * @param gradW as that of {@link #conv2dBackwardWeight}
   * @param shape sizes
   */
  default void conv2dNormalisedBackwardWeight(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer shift,
      Buffer gradY,
      Buffer gradW,
      ConvShape shape) {
    try (Scratch scratch = new Scratch(this)) {
      Buffer z = scratch.take(x.dtype(), x.length());
      batchNormApply(x, mean, invStd, weight, shift, null, z, norm(shape));
      conv2dBackwardWeight(z, gradY, gradW, shape);
    }
  }

  /** Statistics are known: neither momentum nor eps is asked for. */
  private static BatchNormShape norm(ConvShape s) {
    long rows = (long) s.n() * s.h() * s.w();
    return new BatchNormShape(rows, s.c(), false, 0, 0, Activation.RELU);
  }
}
