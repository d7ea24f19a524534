/* Fused scaled dot-product attention: out = softmax(scale q k^T) v, without the matrix of probabilities in memory. */
#ifndef GRADUS_ATTENTION_H
#define GRADUS_ATTENTION_H

#include "gradus/abi.h"

/* Elements between neighbours of an operand [batch, heads, rows, dim]; the dim elements of a row are dense. */
typedef struct gr_attention_strides {
  int64_t batch;
  int64_t head;
  int64_t row;
} gr_attention_strides;

/* Query i stands at position i + keys - queries: the last query at the last key. Host memory. */
typedef struct gr_attention_problem {
  int64_t batch;
  int64_t heads;    /* of q, out and their gradients */
  int64_t kv_heads; /* of k, v and their gradients; divides heads: query head h reads head h / (heads / kv_heads) */
  int64_t queries;
  int64_t keys;
  int64_t dim;            /* 1 to 256 */
  int64_t causal;         /* 1: a query sees no key after its position */
  int64_t window;         /* above 0: it sees only keys less than this far from its position */
  int64_t dropout_number; /* number of the random operation; looked at where rng is given */
  gr_attention_strides q, k, v, out;
  gr_attention_strides grad_out, grad_q, grad_k, grad_v; /* looked at by backward */
  double scale;
  double dropout; /* probability that a probability is dropped; looked at where rng is given */
} gr_attention_problem;

GR_BEGIN

/* P = softmax(scale q k^T) over the keys that a query sees; out = D(P) v; log_sum_exp = log sum exp(scale q k^T).
 * q [batch, heads, queries, dim], k and v [batch, kv_heads, keys, dim], out as q; log_sum_exp [batch, heads, queries], dense,
 * FLOAT32 (FLOAT64 beside FLOAT64), or 0. A query that sees no key gives 0 and -inf.
 * rng: INT64 [seed, base] or 0. With it D keeps element (batch, head, query, key), counted densely, as dropout does, and
 * divides what is kept by 1 - dropout; without it D(P) = P.
 * FLOAT32, FLOAT64, BFLOAT16, FLOAT16; 16-bit types by tensor cores where dim is a multiple of 8, rows are aligned to 16
 * bytes and scale is above 0. On GPUs of capability 9.0 dim 64 and 128 without dropout have kernels of their own (wgmma, TMA),
 * where of the strides of row, head and batch each larger one is a multiple of the smaller ones.
 * problem: host address of a gr_attention_problem. */
int gr_attention_forward(int64_t q, int64_t k, int64_t v, int64_t rng, int64_t out, int64_t log_sum_exp, int64_t problem,
                         int32_t dtype, int64_t stream);

/* Gradients, written, not added to; any of them may be 0. out and log_sum_exp are those of forward, and rng holds what it
 * held. */
int gr_attention_backward(int64_t grad_out, int64_t q, int64_t k, int64_t v, int64_t out, int64_t log_sum_exp, int64_t rng,
                          int64_t grad_q, int64_t grad_k, int64_t grad_v, int64_t scratch, int64_t scratch_bytes,
                          int64_t problem, int32_t dtype, int64_t stream);
int64_t gr_attention_backward_scratch(int64_t problem, int32_t dtype, int64_t stream);

#define GR_ATTENTION_FUNCTIONS(F) F(attention_forward) F(attention_backward) F(attention_backward_scratch)

GR_END

#endif
