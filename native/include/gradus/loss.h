/* Softmax-cross-entropy of class labels, with class weights w, label smoothing s and an ignored label.
 *
 * Row i of logits [rows, classes] with label t weighs v = w[t], or 0 when t is the ignored label, and then its loss and its
 * gradient are 0 too. Its target distribution is q[c] = (1 - s) w[t] (c = t) + s / classes w[c]. A label that is neither in range
 * nor ignored gives NaN.
 *
 * dtype is the floating type of the logits. Everything else that is floating has the type that they accumulate in: float32 for
 * 16-bit types, else their own. */
#ifndef GRADUS_LOSS_H
#define GRADUS_LOSS_H

#include "gradus/abi.h"

GR_BEGIN

/* loss [rows] = sum over c of q[c] (log(sum(exp(logits))) - logits[c]); row_weight [rows] receives v, log_sum [rows]
 * log(sum(exp(logits - max))). target: INT64 [rows]; weight: [classes], or 0 for 1. */
int gr_cross_entropy_forward(int64_t logits, int64_t target, int64_t weight, int64_t loss, int64_t row_weight, int64_t log_sum,
                             int64_t rows, int64_t classes, double smoothing, int64_t ignored, int32_t dtype, int64_t stream);

/* grad_logits [rows, classes] = grad_loss (softmax[c] sum(q) - q[c]), with grad_loss [rows] and log_sum [rows] from forward.
 * grad_logits may be logits. */
int gr_cross_entropy_backward(int64_t grad_loss, int64_t logits, int64_t log_sum, int64_t target, int64_t weight,
                              int64_t grad_logits, int64_t rows, int64_t classes, double smoothing, int64_t ignored,
                              int32_t dtype, int64_t stream);

/* Both at once, with one read and one write of the logits, which become their gradient: grad_scale [1] (or 0 for 1) takes the
 * place of every row's grad_loss. loss and row_weight as in forward. */
int gr_cross_entropy_fused(int64_t logits, int64_t target, int64_t weight, int64_t loss, int64_t row_weight, int64_t grad_scale,
                           int64_t rows, int64_t classes, double smoothing, int64_t ignored, int32_t dtype, int64_t stream);

#define GR_LOSS_FUNCTIONS(F) F(cross_entropy_forward) F(cross_entropy_backward) F(cross_entropy_fused)

GR_END

#endif
