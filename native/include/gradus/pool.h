/* Two-dimensional pooling of images [n, h, w, c]. */
#ifndef GRADUS_POOL_H
#define GRADUS_POOL_H

#include "gradus/abi.h"

/* The sizes, as io.gradus.backend.PoolShape has them. Output row i takes the input rows from max(0, i stride_h - pad_h) to
 * min(h, i stride_h - pad_h + kh), or, where stride_h is 0 (adaptive), from floor(i h / oh) to ceil((i + 1) h / oh); columns
 * alike. No window is empty. Extents are below 2^31. Host memory. */
typedef struct gr_pool_shape {
  int64_t n, h, w, c;
  int64_t oh, ow;
  int64_t kh, kw; /* the largest window */
  int64_t stride_h, stride_w;
  int64_t pad_h, pad_w;
} gr_pool_shape;

GR_BEGIN

/* y [n, oh, ow, c] = maximum of every window of x; a NaN counts as the maximum, and of equals the first wins. index INT32 [n, oh,
 * ow, c] receives its position row w + column; may be 0. shape: host address of a gr_pool_shape. */
int gr_max_pool2d_forward(int64_t x, int64_t y, int64_t index, int64_t shape, int32_t dtype, int64_t stream);

/* grad_x [n, h, w, c]: every output's gradient goes to its maximum, in the order of outputs. */
int gr_max_pool2d_backward(int64_t grad_y, int64_t index, int64_t grad_x, int64_t shape, int32_t dtype, int64_t stream);

/* y = average of every window. count_padding: whether padding counts as pixels of value 0 or not at all. */
int gr_avg_pool2d_forward(int64_t x, int64_t y, int64_t shape, int32_t count_padding, int32_t dtype, int64_t stream);

/* grad_x of it: every pixel collects its shares in the order of outputs. */
int gr_avg_pool2d_backward(int64_t grad_y, int64_t grad_x, int64_t shape, int32_t count_padding, int32_t dtype, int64_t stream);

#define GR_POOL_FUNCTIONS(F) \
  F(max_pool2d_forward) F(max_pool2d_backward) F(avg_pool2d_forward) F(avg_pool2d_backward)

GR_END

#endif
