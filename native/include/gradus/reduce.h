/* Reductions, positions of extremes and prefix sums along the middle axis of a dense x [outer, n, inner].
 *
 * 16-bit types accumulate in float32, integers in 64 bits; a result is rounded (or wrapped) once. The order of every sum follows
 * from the sizes alone. */
#ifndef GRADUS_REDUCE_H
#define GRADUS_REDUCE_H

#include "gradus/abi.h"

GR_BEGIN

/* out [outer, inner] = x reduced over n; all types. op is the ordinal of ReduceOp: sum, max, min, prod. NaN is the maximum and
 * the minimum of whatever contains it; of nothing they are 0, the least, the greatest value, and 1. */
int gr_reduce(int32_t op, int64_t x, int64_t out, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner,
              int32_t dtype, int64_t stream);
int64_t gr_reduce_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t stream);

/* index INT64 [outer, inner] = position of the maximum (max is not 0) or minimum along n, n > 0: the first of equals; a NaN
 * counts as the extreme. All types. */
int gr_argreduce(int32_t max, int64_t x, int64_t index, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n,
                 int64_t inner, int32_t dtype, int64_t stream);
int64_t gr_argreduce_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t stream);

/* out FLOAT64 [1] = sum of x[i]^2 over n elements, formed in double precision; floating types. */
int gr_sum_of_squares(int64_t x, int64_t out, int64_t scratch, int64_t scratch_bytes, int64_t n, int32_t dtype, int64_t stream);
int64_t gr_sum_of_squares_scratch(int64_t n, int32_t dtype, int64_t stream);

/* y[i] = x[0] + .. + x[i] along n, or x[i] + .. + x[n - 1] where reverse is not 0 (the gradient of the former); floating types,
 * INT32 and INT64. y may be x. */
int gr_cumsum(int64_t x, int64_t y, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner,
              int32_t reverse, int32_t dtype, int64_t stream);
int64_t gr_cumsum_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t stream);

/* flag INT32 [1] becomes 1 when any of n elements is infinite or NaN, and stays as it is otherwise; floating types. */
int gr_all_finite(int64_t x, int64_t flag, int64_t n, int32_t dtype, int64_t stream);

#define GR_REDUCE_FUNCTIONS(F)                                                                                \
  F(reduce) F(reduce_scratch) F(argreduce) F(argreduce_scratch) F(sum_of_squares) F(sum_of_squares_scratch) \
  F(cumsum) F(cumsum_scratch) F(all_finite)

GR_END

#endif
