/* Element-wise operations with broadcasting, strided copies, casts and fills. */
#ifndef GRADUS_ELEMENTWISE_H
#define GRADUS_ELEMENTWISE_H

#include "gradus/abi.h"

#define GR_MAX_RANK 8

/* A shape with the strides (in elements, 0 where an axis is broadcast) of up to three operands. Host memory. */
typedef struct gr_layout {
  int64_t rank; /* 0 to GR_MAX_RANK; 0 is one element */
  int64_t shape[GR_MAX_RANK];
  int64_t strides[3][GR_MAX_RANK];
} gr_layout;

GR_BEGIN

/* y = op(x) of n elements; op is the ordinal of UnaryOp; floating types, and integers where the function is defined on them.
 * y may be x. */
int gr_unary(int32_t op, int64_t x, int64_t y, int64_t n, int32_t dtype, int64_t stream);

/* out = op(a, b) over the layout's shape; strides[0] are a's, strides[1] are b's; out is dense and may be an operand of that
 * layout. op is the ordinal of BinaryOp; all types. layout: host address of a gr_layout. */
int gr_binary(int32_t op, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t stream);

/* The same with a BOOL result; op is the ordinal of CompareOp. */
int gr_compare(int32_t op, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t stream);

/* out = condition ? a : b; strides[0] are the condition's (BOOL), then a's and b's; out is dense. */
int gr_where(int64_t condition, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t stream);

/* Copies elements of 1, 2, 4 or 8 bytes between strided layouts: strides[0] are src's, strides[1] are dst's. */
int gr_copy(int64_t src, int64_t dst, int64_t layout, int32_t element_bytes, int64_t stream);

/* Converts n elements: floats to integers toward zero (saturating, NaN to 0), anything to BOOL by "is not 0", floats to
 * narrower floats to nearest even. */
int gr_cast(int64_t src, int64_t dst, int64_t n, int32_t src_dtype, int32_t dst_dtype, int64_t stream);

/* Sets n elements to a value, converted to the type as gr_cast converts from FLOAT64. */
int gr_fill(int64_t dst, int64_t n, double value, int32_t dtype, int64_t stream);

#define GR_ELEMENTWISE_FUNCTIONS(F) \
  F(unary) F(binary) F(compare) F(where) F(copy) F(cast) F(fill)

GR_END

#endif
