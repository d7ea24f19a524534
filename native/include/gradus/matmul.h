/* Matrix products, batched, with what follows them fused in. */
#ifndef GRADUS_MATMUL_H
#define GRADUS_MATMUL_H

#include "gradus/abi.h"

/* C = op(A) op(B) for each of a batch; sizes in elements. Host memory. */
typedef struct gr_matmul_problem {
  int64_t batch, m, n, k;   /* op(A) is [m, k], op(B) [k, n], C [m, n], row-major */
  int64_t trans_a, trans_b; /* whether A is stored [k, m], B [n, k] */
  int64_t stride_a, stride_b; /* from one matrix of the batch to the next; 0 shares it */
  int64_t stride_c;           /* 0 stands for m ldc */
  int64_t lda, ldb, ldc;      /* from one stored row to the next; 0 stands for its length */
  int64_t accumulate;         /* whether the result is added to C rather than stored */
  int64_t activation;         /* gr_activation */
  int64_t precision;          /* gr_precision */
  int64_t bias_axis;          /* 1: bias [n], one number a column; 0: bias [m], one a row */
  int64_t dropout_number;     /* number of the random operation */
  double dropout_p;           /* probability of dropping; looked at where rng is given */
  int64_t wide;               /* whether C is FLOAT32 where A and B are of 16 bits; other types do not look at it */
} gr_matmul_problem;

GR_BEGIN

/* C = dropout(activation(op(A) op(B) + bias)) + residual, added to C with accumulate. Floating types; INT32, INT64 and UINT8
 * without bias, activation, dropout and residual. k = 0 gives products of zeros. A wide C has the FLOAT32 sums as they are, as
 * gradients of weights want them; it is dense and stands alone: GR_UNSUPPORTED with bias, activation, dropout or residual.
 *
 * bias: [n] or [m], 0 for none. residual: laid out as C, may be C, 0 for none. rng: INT64 [seed, base], 0 for no dropout; the
 * mask is that of element (b, i, j) counted as in a dense C. C must not overlap A and B. problem: host address of a
 * gr_matmul_problem. The sum over k has an order that depends on the sizes, the device,
 * and whether A's and B's rows start at multiples of 16 bytes, alone. */
int gr_matmul(int64_t a, int64_t b, int64_t bias, int64_t residual, int64_t rng, int64_t c, int64_t scratch,
              int64_t scratch_bytes, int64_t problem, int32_t dtype, int64_t stream);
int64_t gr_matmul_scratch(int64_t problem, int32_t dtype, int64_t stream);

#define GR_MATMUL_FUNCTIONS(F) F(matmul) F(matmul_scratch)

GR_END

#endif
