/* Batch, group, instance, layer and root-mean-square normalisation.
 *
 * Types: x, y, residuals and their gradients have `dtype` (FLOAT32, FLOAT64, BFLOAT16 or FLOAT16). Statistics have the
 * accumulator type: FLOAT64 for FLOAT64, else FLOAT32. Each vector of weights has dtype or the accumulator type, as its own code
 * says (looked at where the vector is given); its gradient has the same. Absent weights are 1, absent biases and residuals 0, and
 * gradients with address 0 are not computed.
 *
 * Statistics are merged from means and sums of squared distances, never E[x^2] - E[x]^2. Sums have an order that depends on the
 * shape (and on whether addresses are multiples of 16 bytes) alone, in batch normalisation's training also on the device's model,
 * which says what can be kept on the chip. A column with an infinity has NaN statistics.
 *
 * Scratch memory is aligned to 16 bytes; gr_<function>_scratch gives its size for any choice of optional operands.
 */
#ifndef GRADUS_NORM_H
#define GRADUS_NORM_H

#include "gradus/abi.h"

GR_BEGIN

/* mean and invStd = 1 / sqrt(variance + eps), [channels], of the columns of x [rows, channels], rows at least 2. The running
 * statistics (both of running_dtype; each optional) become (1 - momentum) running + momentum batch, with the variance
 * sum((x - mean)^2) / (rows - 1). */
int gr_batch_norm_statistics(int64_t x, int64_t mean, int64_t inv_std, int64_t running_mean, int64_t running_var, int64_t scratch,
                             int64_t scratch_bytes, int64_t rows, int64_t channels, double momentum, double eps, int32_t dtype,
                             int32_t running_dtype, int64_t stream);

/* The same from a mean and a biased variance that are known already (a convolution leaves them), [channels], in the accumulator
 * type. inv_std may be variance. */
int gr_batch_norm_finish(int64_t mean, int64_t variance, int64_t inv_std, int64_t running_mean, int64_t running_var, int64_t rows,
                         int64_t channels, double momentum, double eps, int32_t dtype, int32_t running_dtype, int64_t stream);

/* y = activation((x - mean) invStd weight + bias + residual), [rows, channels]; y may be x or residual. mask (optional) receives
 * one bit per element in 32-bit words, element i in bit i % 32 of word i / 32: whether y > 0; the rest of the last word is 0. */
int gr_batch_norm_apply(int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t bias, int64_t residual, int64_t y,
                        int64_t mask, int64_t rows, int64_t channels, int32_t activation, int32_t dtype, int32_t weight_dtype,
                        int32_t bias_dtype, int64_t stream);

/* gr_batch_norm_statistics, then gr_batch_norm_apply: a step of training. x is read once where it can be kept on the chip. */
int gr_batch_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t residual, int64_t y, int64_t mask, int64_t mean,
                          int64_t inv_std, int64_t running_mean, int64_t running_var, int64_t scratch, int64_t scratch_bytes,
                          int64_t rows, int64_t channels, double momentum, double eps, int32_t activation, int32_t dtype,
                          int32_t weight_dtype, int32_t bias_dtype, int32_t running_dtype, int64_t stream);

/* With n = (x - mean) invStd and g = gradY where the mask is set, or without a mask where y > 0, or without either everywhere,
 * else 0:
 *   gradBias = sum(g);  gradWeight = sum(g n);  gradResidual = g
 *   gradX = weight invStd (g - gradBias / rows - n gradWeight / rows) in training (training != 0), else weight invStd g
 * gradX and gradResidual may be gradY, but not both. */
int gr_batch_norm_backward(int64_t grad_y, int64_t x, int64_t y, int64_t mask, int64_t mean, int64_t inv_std, int64_t weight,
                           int64_t grad_x, int64_t grad_weight, int64_t grad_bias, int64_t grad_residual, int64_t scratch,
                           int64_t scratch_bytes, int64_t rows, int64_t channels, int32_t training, int32_t dtype,
                           int32_t weight_dtype, int32_t bias_dtype, int64_t stream);

/* y = (x - mean) invStd weight + bias for x [samples, positions, channels], mean and invStd [samples, groups] over all positions
 * and the channels / groups neighbouring channels of the group; weight and bias [channels]. y may be x. */
int gr_group_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std, int64_t scratch,
                          int64_t scratch_bytes, int64_t samples, int64_t positions, int64_t channels, int64_t groups, double eps,
                          int32_t dtype, int32_t weight_dtype, int32_t bias_dtype, int64_t stream);

/* With n = (x - mean) invStd and h = gradY weight:
 *   gradBias = sum over samples and positions of gradY;  gradWeight = the same of gradY n
 *   gradX = invStd (h - mean(h) - n mean(h n)), means over positions and channels of the group; it may be gradY */
int gr_group_norm_backward(int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
                           int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes, int64_t samples,
                           int64_t positions, int64_t channels, int64_t groups, int32_t dtype, int32_t weight_dtype,
                           int32_t bias_dtype, int64_t stream);

/* y = (x - mean) invStd weight + bias for x [rows, cols], mean and invStd [rows]; weight and bias [cols]. y may be x. */
int gr_layer_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std, int64_t rows,
                          int64_t cols, double eps, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype, int64_t stream);

/* With n = (x - mean) invStd and h = gradY weight:
 *   gradBias = sum over rows of gradY;  gradWeight = sum over rows of gradY n
 *   gradX = invStd (h - mean(h) - n mean(h n)), means over columns */
int gr_layer_norm_backward(int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
                           int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes, int64_t rows,
                           int64_t cols, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype, int64_t stream);

/* y = x invRms weight for x [rows, cols], invRms = 1 / sqrt(mean(x^2) + eps), [rows]; weight [cols]. y may be x. */
int gr_rms_norm_forward(int64_t x, int64_t weight, int64_t y, int64_t inv_rms, int64_t rows, int64_t cols, double eps,
                        int32_t dtype, int32_t weight_dtype, int64_t stream);

/* With n = x invRms and h = gradY weight: gradWeight = sum over rows of gradY n;  gradX = invRms (h - n mean(h n)). */
int gr_rms_norm_backward(int64_t grad_y, int64_t x, int64_t inv_rms, int64_t weight, int64_t grad_x, int64_t grad_weight,
                         int64_t scratch, int64_t scratch_bytes, int64_t rows, int64_t cols, int32_t dtype, int32_t weight_dtype,
                         int64_t stream);

/* Bytes of scratch memory. */
int64_t gr_batch_norm_statistics_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t stream);
int64_t gr_batch_norm_forward_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t stream);
int64_t gr_batch_norm_backward_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t stream);
int64_t gr_group_norm_forward_scratch(int64_t samples, int64_t positions, int64_t channels, int64_t groups, int32_t dtype,
                                      int64_t stream);
int64_t gr_group_norm_backward_scratch(int64_t samples, int64_t positions, int64_t channels, int64_t groups, int32_t dtype,
                                       int64_t stream);
int64_t gr_layer_norm_backward_scratch(int64_t rows, int64_t cols, int32_t dtype, int64_t stream);
int64_t gr_rms_norm_backward_scratch(int64_t rows, int64_t cols, int32_t dtype, int64_t stream);

#define GR_NORM_FUNCTIONS(F)                                                                                                  \
  F(batch_norm_statistics) F(batch_norm_finish) F(batch_norm_apply) F(batch_norm_forward) F(batch_norm_backward)              \
  F(group_norm_forward) F(group_norm_backward) F(layer_norm_forward) F(layer_norm_backward) F(rms_norm_forward)               \
  F(rms_norm_backward) F(batch_norm_statistics_scratch) F(batch_norm_forward_scratch) F(batch_norm_backward_scratch)          \
  F(group_norm_forward_scratch) F(group_norm_backward_scratch) F(layer_norm_backward_scratch) F(rms_norm_backward_scratch)

GR_END

#endif
