/* Reading and adding at computed positions along one axis, and rows of a table by their numbers. Indices are INT64 and in range:
 * the caller has checked them. */
#ifndef GRADUS_INDEXING_H
#define GRADUS_INDEXING_H

#include "gradus/abi.h"

/* x is [outer, size, inner], the selected part [outer, count, inner]; element (o, j, i) of it belongs to
 * x[o, index[o index_outer + j index_count + i index_inner], i]. Host memory. */
typedef struct gr_index_shape {
  int64_t outer;
  int64_t size;
  int64_t count;
  int64_t inner;
  int64_t index_outer; /* strides of the index, 0 where it is shared */
  int64_t index_count;
  int64_t index_inner;
} gr_index_shape;

GR_BEGIN

/* out = the selected part of x; elements of 1, 2, 4 or 8 bytes. shape: host address of a gr_index_shape. */
int gr_gather(int64_t x, int64_t index, int64_t out, int64_t shape, int32_t element_bytes, int64_t stream);

/* Adds src to the selected part of x; all types. Each element of x is added to in rising order of j and rounded once (16-bit
 * types sum in float32, integers modulo their range, BOOL is "or"). Where more than GR_SCATTER_RUN summands meet, pieces of so
 * many are summed first, up to 32 groups of neighbouring pieces next, and the groups last, each in order: a rule that depends on
 * nothing but the number of summands. Scratch memory is aligned to 16 bytes. */
#define GR_SCATTER_RUN 64
int gr_scatter_add(int64_t src, int64_t index, int64_t x, int64_t scratch, int64_t scratch_bytes, int64_t shape, int32_t dtype,
                   int64_t stream);
int64_t gr_scatter_add_scratch(int64_t shape, int32_t dtype, int64_t stream);

/* y [count, dim] = weight[index[i]]; weight is [vocabulary, dim]; all types. */
int gr_embedding_forward(int64_t weight, int64_t index, int64_t y, int64_t vocabulary, int64_t count, int64_t dim, int32_t dtype,
                         int64_t stream);

/* grad_weight[v] = sum of grad_y[i] over the i with index[i] = v, summed as by gr_scatter_add; 0 for the row `padding` (-1: none)
 * and for rows that do not occur. */
int gr_embedding_backward(int64_t grad_y, int64_t index, int64_t grad_weight, int64_t scratch, int64_t scratch_bytes,
                          int64_t vocabulary, int64_t count, int64_t dim, int64_t padding, int32_t dtype, int64_t stream);
int64_t gr_embedding_backward_scratch(int64_t vocabulary, int64_t count, int64_t dim, int32_t dtype, int64_t stream);

#define GR_INDEXING_FUNCTIONS(F)                                                                   \
  F(gather) F(scatter_add) F(scatter_add_scratch) F(embedding_forward) F(embedding_backward)       \
  F(embedding_backward_scratch)

GR_END

#endif
