// The backward kernels of attention by ordinary arithmetic, any dim and alignment; see attention_backward.cu.
#pragma once

#include "kernels/attention_simt.h"

namespace gradus {

template <class T>
struct BackwardOperands {
  AttentionOperand<const T> grad_out, q, k, v;
  AttentionOperand<T> grad_q, grad_k, grad_v;  // without data where they are not wanted
  const Pack<accumulator_t<T>, 2>* rows;       // [batch, heads, queries] of log-sum-exp in base 2, delta
};

template <class T, int Width>
__global__ void __launch_bounds__(kSimtThreads, Width == 64 && sizeof(T) == 4 ? 2 : 1)
    attention_backward_queries_kernel_simt(AttentionShape shape, BackwardOperands<T> operands, bool aligned) {
  using A = accumulator_t<T>;
  constexpr int R = kSimtRows<A>, kQueries = 16 * R, kKeys = kSimtColumns;
  constexpr int kStage = kSimtStage<A, Width>;
  GRADUS_SHARED_ALIGNED(128, A, stage, [kStage]);
  GRADUS_SHARED_ALIGNED(128, A, matrix, [kKeys * kQueries]);
  int tiles = (shape.queries + kQueries - 1) / kQueries;
  AttentionPlace place = attention_place(tiles, shape.heads);
  SimtThread at;
  int first_row = (tiles - 1 - place.tile) * kQueries;
  auto q = operands.q.at(place.batch, place.head), grad_out = operands.grad_out.at(place.batch, place.head);
  auto k = operands.k.at(place.batch, place.head / shape.group), v = operands.v.at(place.batch, place.head / shape.group);
  AttentionRange range = shape.tiles<false>(first_row, kQueries, kKeys);
  const auto* rows = operands.rows + (int64_t(place.batch) * shape.heads + place.head) * shape.queries;
  A sum[Width / 64][R][4] = {};
  for (int key = range.first; key < range.last; key += kKeys) {
    A s[R][4] = {}, grad[R][4] = {};
    simt_product<R>(s, stage, q, first_row, k, key, aligned);
    simt_product<R>(grad, stage, grad_out, first_row, v, key, aligned);
    GRADUS_UNROLL
    for (int i = 0; i < R; i++) {
      int row = first_row + at.y * R + i;
      AttentionRange seen = shape.seen<false>(row);
      A lse = INFINITY, delta = 0;
      if (row < shape.queries) {
        lse = rows[row].value[0];
        delta = rows[row].value[1];
      }
      uint32_t kept = ~0u;
      if (shape.rng != nullptr) kept = AttentionDropout(shape, place.batch, place.head).bits(row, key + at.x * 4);
      GRADUS_UNROLL
      for (int j = 0; j < 4; j++) {
        int column = key + at.x * 4 + j;
        A logit = column < seen.first || column > seen.last ? A(-INFINITY) : s[i][j] * A(shape.logit_scale);
        A grad_p = (kept >> j & 1) != 0 ? grad[i][j] * A(shape.keep_scale) : A(0);
        s[i][j] = exp2_exact(logit - lse) * (grad_p - delta);
      }
    }
    simt_publish<R>(matrix, s);
    simt_accumulate<R, Width>(sum, matrix, stage, k, key, aligned);
  }
  A factor[R];
  GRADUS_UNROLL
  for (int i = 0; i < R; i++) factor[i] = A(shape.scale);
  simt_store<R, Width>(sum, factor, operands.grad_q.at(place.batch, place.head), first_row);
}

template <class T, int Width>
__global__ void __launch_bounds__(kSimtThreads, 1)
    attention_backward_keys_kernel_simt(AttentionShape shape, BackwardOperands<T> operands, bool aligned) {
  using A = accumulator_t<T>;
  constexpr int R = kSimtRows<A>, kKeys = 16 * R, kQueries = kSimtColumns;
  constexpr int kStage = kSimtStage<A, Width>;
  GRADUS_SHARED_ALIGNED(128, A, stage, [kStage]);
  GRADUS_SHARED_ALIGNED(128, A, matrix, [kKeys * kQueries]);
  int tiles = (shape.keys + kKeys - 1) / kKeys;
  AttentionPlace place = attention_place(tiles, shape.heads / shape.group);
  SimtThread at;
  int first_row = place.tile * kKeys;
  auto k = operands.k.at(place.batch, place.head);
  auto v = operands.v.at(place.batch, place.head);
  AttentionRange range = shape.tiles<true>(first_row, kKeys, kQueries);
  A grad_k[Width / 64][R][4] = {}, grad_v[Width / 64][R][4] = {};
  for (int head = place.head * shape.group; head < (place.head + 1) * shape.group; head++) {
    auto q = operands.q.at(place.batch, head);
    auto grad_out = operands.grad_out.at(place.batch, head);
    const auto* rows = operands.rows + (int64_t(place.batch) * shape.heads + head) * shape.queries;
    for (int query = range.first; query < range.last; query += kQueries) {
      A s[R][4] = {}, p[R][4], grad[R][4] = {};
      uint32_t kept = ~0u;  // bit 8 j + i
      simt_product<R>(s, stage, k, first_row, q, query, aligned);
      GRADUS_UNROLL
      for (int j = 0; j < 4; j++) {
        int column = query + at.x * 4 + j;
        A lse = column < shape.queries ? rows[column].value[0] : A(INFINITY);
        if (shape.rng != nullptr) {
          kept ^= (AttentionDropout(shape, place.batch, head).bits(column, first_row + at.y * R) ^ 0xFF) << (8 * j);
        }
        GRADUS_UNROLL
        for (int i = 0; i < R; i++) {
          AttentionRange seen = shape.seen<true>(first_row + at.y * R + i);
          s[i][j] = exp2_exact((column < seen.first || column > seen.last ? A(-INFINITY) : s[i][j] * A(shape.logit_scale)) - lse);
          p[i][j] = (kept >> (8 * j + i) & 1) != 0 ? s[i][j] : A(0);
        }
      }
      simt_publish<R>(matrix, p);
      simt_accumulate<R, Width>(grad_v, matrix, stage, grad_out, query, aligned);
      simt_product<R>(grad, stage, v, first_row, grad_out, query, aligned);
      GRADUS_UNROLL
      for (int j = 0; j < 4; j++) {
        int column = query + at.x * 4 + j;
        A delta = column < shape.queries ? rows[column].value[1] : A(0);
        GRADUS_UNROLL
        for (int i = 0; i < R; i++) s[i][j] *= ((kept >> (8 * j + i) & 1) != 0 ? grad[i][j] * A(shape.keep_scale) : A(0)) - delta;
      }
      simt_publish<R>(matrix, s);
      simt_accumulate<R, Width>(grad_k, matrix, stage, q, query, aligned);
    }
  }
  A factor[R], keep[R];
  GRADUS_UNROLL
  for (int i = 0; i < R; i++) {
    factor[i] = A(shape.scale);
    keep[i] = A(shape.keep_scale);
  }
  if (operands.grad_k.data != nullptr) {
    simt_store<R, Width>(grad_k, factor, operands.grad_k.at(place.batch, place.head), first_row);
  }
  if (operands.grad_v.data != nullptr) {
    simt_store<R, Width>(grad_v, keep, operands.grad_v.at(place.batch, place.head), first_row);
  }
}

}  // namespace gradus
