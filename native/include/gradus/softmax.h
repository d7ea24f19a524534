/* Softmax and its logarithm along the middle axis of a dense x [outer, n, inner]; floating types, 16-bit types compute in
 * float32.
 *
 * A line whose every element is minus infinity has softmax 0 and logarithm minus infinity; a NaN or plus infinity makes its line
 * NaN. */
#ifndef GRADUS_SOFTMAX_H
#define GRADUS_SOFTMAX_H

#include "gradus/abi.h"

GR_BEGIN

/* y = exp(x - max) / sum(exp(x - max)); where logarithm is not 0, y = x - max - log(sum(exp(x - max))). y may be x. */
int gr_softmax_forward(int64_t x, int64_t y, int64_t outer, int64_t n, int64_t inner, int32_t logarithm, int32_t dtype,
                       int64_t stream);

/* gradX = y (gradY - sum(gradY y)); where logarithm is not 0, gradX = gradY - exp(y) sum(gradY). y is the result of forward;
 * gradX may be gradY or y. */
int gr_softmax_backward(int64_t grad_y, int64_t y, int64_t grad_x, int64_t outer, int64_t n, int64_t inner, int32_t logarithm,
                        int32_t dtype, int64_t stream);

#define GR_SOFTMAX_FUNCTIONS(F) F(softmax_forward) F(softmax_backward)

GR_END

#endif
