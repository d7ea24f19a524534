// What becomes of the sums of a product: C = dropout(activation(sum + bias)) + residual, added to C with accumulate; computed in
// the accumulator type and rounded once.
#pragma once

#include <cmath>

#include "cpu/dropout_bits.h"
#include "cpu/gemm.h"
#include "gradus/matmul.h"
#include "plugin/handle.h"

namespace gradus::cpu {

template <class T>
class MatmulEpilogue {
 public:
  using A = accumulator_t<T>;

  // The pitches and strides of p are filled in.
  MatmulEpilogue(const gr_matmul_problem& p, int64_t bias, int64_t residual, int64_t rng, int64_t c)
      : p_(p), bias_(pointer<const T>(bias)), residual_(pointer<const T>(residual)), c_(pointer<T>(c)), drops_(rng != 0) {
    if (drops_) {
      dropout_ = DropoutBits(pointer<const int64_t>(rng), p.dropout_number, p.dropout_p);
      scale_ = A(p.dropout_p == 1 ? 0 : 1 / (1 - p.dropout_p));
    }
  }

  GemmTarget<A> target(int64_t batch) const {
    if constexpr (std::is_same_v<T, A>) {
      bool plain = bias_ == nullptr && residual_ == nullptr && !drops_ && p_.activation == GR_ACTIVATION_NONE;
      if (plain) return {c_ + batch * p_.stride_c, p_.ldc, p_.accumulate != 0};
    }
    return {nullptr, 0, false};
  }

  void operator()(int64_t batch, int64_t row, int64_t column, int rows, int columns, const A* tile, int64_t pitch) const {
    for (int i = 0; i < rows; i++) finish(batch, row + i, column, columns, tile + i * pitch);
  }

 private:
  void finish(int64_t batch, int64_t row, int64_t column, int columns, const A* sums) const {
    constexpr int kLanesOf = lanes_of<A>;
    int64_t offset = batch * p_.stride_c + row * p_.ldc + column;
    const T* bias = bias_ != nullptr && p_.bias_axis != 0 ? bias_ + column : nullptr;
    A row_bias = bias_ != nullptr && p_.bias_axis == 0 ? A(to_float(bias_[row])) : A(0);
    Vec<A> of_row = broadcast(row_bias), zero = {};
    for (int j = 0; j < columns; j += kLanesOf) {
      int lanes = lanes_left<A>(columns - j);
      Vec<A> x = load_some(sums + j, lanes) + of_row;
      if (bias != nullptr) x += load_wide_some(bias + j, lanes);
      if (p_.activation == GR_ACTIVATION_RELU) x = select(x <= zero, zero, x);  // NaN stays
      if (drops_) {
        auto index = uint64_t((batch * p_.m + row) * p_.n + column + j);
        auto kept = mask_of_bits<decltype(x <= zero)>(dropout_.kept(index, lanes));
        x = select(kept, x * scale_, zero);
      }
      if (residual_ != nullptr) x += load_wide_some(residual_ + offset + j, lanes);
      if (p_.accumulate != 0) x += load_wide_some(static_cast<const T*>(c_) + offset + j, lanes);
      store_wide_some(c_ + offset + j, x, lanes);
    }
  }

  gr_matmul_problem p_;
  const T* bias_;
  const T* residual_;
  T* c_;
  bool drops_;
  DropoutBits dropout_;
  A scale_ = 1;
};

}  // namespace gradus::cpu
