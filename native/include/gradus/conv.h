/* Two-dimensional convolution of images [n, h, w, c] with weights [o, kh, kw, c / groups], as cross-correlation:
 *
 *   y[n, i, j, o] = sum over u, v, k of w[o, u, v, k]
 *       x[n, i stride_h + u dilation_h - pad_h, j stride_w + v dilation_w - pad_w, g(o) + k]
 *
 * where x is 0 outside of its borders and g(o) is the first channel of o's group. FLOAT32, BFLOAT16 and FLOAT16 sum in float32,
 * FLOAT64 in float64; results are rounded once. Every sum has an order that depends on the shape, the kind of device and the
 * alignment of the addresses (16 bytes or less) alone. A plug-in may rearrange the sums of 3 x 3 kernels by Winograd's algorithm, as the cpu plug-in
 * does but for FLOAT64: errors are then within about twice those of the plain sums, and an infinity or a NaN in x or gradY may reach
 * results up to one pixel further off. GR_UNSUPPORTED: 2^31 pixels or weights (nearly), or more than 16383 groups.
 */
#ifndef GRADUS_CONV_H
#define GRADUS_CONV_H

#include "gradus/abi.h"

/* A convolution. Host memory. */
typedef struct gr_conv {
  int64_t n, h, w, c; /* x */
  int64_t o, kh, kw;  /* weights: [o, kh, kw, c / groups] */
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
  int64_t oh, ow;     /* y: [n, oh, ow, o] */
  int64_t activation; /* gr_activation; forward only */
  int64_t precision;  /* gr_precision */
  int64_t accumulate; /* 1: the result is added to what the output holds (after the activation), 0: it replaces it */
  int64_t wide_weights; /* whether gradW is FLOAT32 where x and gradY are of 16 bits: the sums as they are */
  /* Forward and backward weight, where norm_mean is not 0: in the place of x they read
   *   z = max((x - norm_mean) norm_inv_std norm_weight + norm_bias, 0),
   * rounded to dtype, which gr_batch_norm_apply writes bit for bit; forward writes its mask, as that does, to norm_mask.
   * Addresses, of [c]: norm_mean and norm_inv_std FLOAT32, norm_weight and norm_bias (each optional: 1 and 0) of their own type,
   * dtype or FLOAT32; norm_mask optional. See gr_conv2d_normalises for what is supported. */
  int64_t norm_mean, norm_inv_std, norm_weight, norm_bias, norm_mask;
  int64_t norm_weight_dtype, norm_bias_dtype;
} gr_conv;

GR_BEGIN

/* y = activation(conv(x, w) + bias + residual). bias [o], residual [n, oh, ow, o], both optional.
 * statistics (optional): [2, o], mean and biased variance over n, oh, ow of what y holds when there is neither activation nor
 * accumulation; float64 for FLOAT64, float32 otherwise.
 * scratch: gr_conv2d_forward_scratch bytes, aligned to 16. shape: host address of a gr_conv. */
int gr_conv2d_forward(int64_t x, int64_t w, int64_t bias, int64_t residual, int64_t y, int64_t statistics, int64_t scratch,
                      int64_t scratch_bytes, int64_t shape, int32_t dtype, int64_t stream);

/* gradX [n, h, w, c] from gradY [n, oh, ow, o]: the transposed convolution. */
int gr_conv2d_backward_input(int64_t grad_y, int64_t w, int64_t grad_x, int64_t scratch, int64_t scratch_bytes, int64_t shape,
                             int32_t dtype, int64_t stream);

/* gradW [o, kh, kw, c / groups] from x and gradY. */
int gr_conv2d_backward_weight(int64_t x, int64_t grad_y, int64_t grad_w, int64_t scratch, int64_t scratch_bytes, int64_t shape,
                              int32_t dtype, int64_t stream);

/* 1 where a convolution of these sizes can normalise x itself (norm_mean and its like) and should gain by it, over a step of
 * training; else 0. Only devices of capability 9.0 can, for types of 16 bits, kernels of 1 x 1 with stride 1 and no padding, one
 * group, c and o multiples of 8 and addresses of 16 bytes; anything else with norm_mean is GR_UNSUPPORTED, and nothing is done. */
int64_t gr_conv2d_normalises(int64_t shape, int32_t dtype, int64_t stream);

/* Bytes of scratch memory, whatever the optional operands but norm_mean. */
int64_t gr_conv2d_forward_scratch(int64_t shape, int32_t dtype, int64_t stream);
int64_t gr_conv2d_backward_input_scratch(int64_t shape, int32_t dtype, int64_t stream);
int64_t gr_conv2d_backward_weight_scratch(int64_t shape, int32_t dtype, int64_t stream);

#define GR_CONV_FUNCTIONS(F)                                                                                             \
  F(conv2d_forward) F(conv2d_backward_input) F(conv2d_backward_weight) F(conv2d_normalises) F(conv2d_forward_scratch)   \
  F(conv2d_backward_input_scratch) F(conv2d_backward_weight_scratch)

GR_END

#endif
