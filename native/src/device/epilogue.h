// What becomes of the sums of a tiled product before they are stored: bias, activation, dropout, residual, addition to what is
// there. Eight neighbouring columns at a time (see mma_pipeline.h), so that one Philox block and one 16-byte access serve them.
//
//   y = dropout(activation(sum + bias)) + residual          (residual_first: activation(sum + bias + residual), no dropout after)
//   out = y, or with accumulate out += y
//
// Everything is computed in the accumulator type and rounded once.
#pragma once

#include "device/half.h"
#include "device/math.h"
#include "device/mma_pipeline.h"
#include "device/philox.h"
#include "device/vector.h"
#include "gradus/abi.h"

namespace gradus {

constexpr int kRowPiece = 8;

// Reads up to eight neighbouring elements; absent ones are 0. `vector`: the address is a multiple of 16 bytes.
template <class T>
GRADUS_DEVICE void load_piece(const T* from, int count, bool vector, accumulator_t<T> (&to)[kRowPiece]) {
  if (vector && count >= kRowPiece) {
    constexpr int kPack = kPackSize<T>;
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i += kPack) {
      auto pack = load_pack<T, kPack>(from + i);
      GRADUS_UNROLL
      for (int q = 0; q < kPack; q++) to[i + q] = accumulator_t<T>(to_float(pack.value[q]));
    }
  } else {
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i++) to[i] = i < count ? accumulator_t<T>(to_float(from[i])) : 0;
  }
}

template <class T>
GRADUS_DEVICE void store_piece(T* to, int count, bool vector, const accumulator_t<T> (&from)[kRowPiece]) {
  if (vector && count >= kRowPiece) {
    constexpr int kPack = kPackSize<T>;
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i += kPack) {
      Pack<T, kPack> pack;
      GRADUS_UNROLL
      for (int q = 0; q < kPack; q++) pack.value[q] = from_accumulator<T>(from[i + q]);
      store_pack(to + i, pack);
    }
  } else {
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i++) {
      if (i < count) to[i] = from_accumulator<T>(from[i]);
    }
  }
}

// Bit i says whether element index + i is kept.
GRADUS_DEVICE uint32_t dropout_keeps_piece(uint64_t seed, uint64_t counter, uint64_t index, uint32_t threshold) {
  static_assert(kRowPiece == kDropoutValues, "a piece is as long as a block");
  uint32_t bits = 0;
  auto at = int(index % kDropoutValues);
  GRADUS_ROLLED
  for (int b = 0; b < (at == 0 ? 1 : 2); b++) {  // a piece that starts within a block ends in the next
    PhiloxWords words = philox(seed, counter, index / kDropoutValues + uint64_t(b));
    GRADUS_UNROLL
    for (int i = 0; i < kDropoutValues; i++) bits |= uint32_t(philox_half(words, i) >= threshold) << (i + b * kDropoutValues);
  }
  return bits >> at;
}

// Kernel parameters of an epilogue over a row-major matrix. Addresses of device memory; null for absent.
template <class T>
struct EpilogueParameters {
  T* out;
  const T* bias;      // one number a column, or a row with bias_of_rows
  const T* residual;  // as out
  const int64_t* rng;  // [seed, base]; null without dropout
  int64_t pitch;       // of out and residual, in elements
  int rows, columns;
  uint64_t dropout_number;     // added to rng's base
  uint32_t dropout_threshold;  // see philox.h
  accumulator_t<T> dropout_scale;
  int activation;  // gr_activation
  bool bias_of_rows, residual_first, accumulate;
  bool vector;  // pitch and addresses, wherever a piece starts, are multiples of 16 bytes
};

template <class T>
class Epilogue {
 public:
  using Accumulator = accumulator_t<T>;

  // out_offset: of this matrix in out and residual, in elements; first_element: the number of its element (0, 0) for dropout.
  GRADUS_DEVICE Epilogue(const EpilogueParameters<T>& parameters, int64_t out_offset = 0, uint64_t first_element = 0)
      : p_(parameters), out_offset_(out_offset), first_element_(first_element), seed_(0), counter_(0) {
    if (p_.rng != nullptr) {
      seed_ = uint64_t(p_.rng[0]);
      counter_ = uint64_t(p_.rng[1]) + p_.dropout_number;
    }
  }

  GRADUS_DEVICE void operator()(int row, int column, Accumulator (&values)[kRowPiece]) const {
    if (row >= p_.rows || column >= p_.columns) return;
    int count = p_.columns - column;
    int64_t offset = out_offset_ + row * p_.pitch + column;
    if (p_.bias != nullptr) {
      if (p_.bias_of_rows) {
        auto bias = Accumulator(to_float(p_.bias[row]));
        GRADUS_UNROLL
        for (int i = 0; i < kRowPiece; i++) values[i] += bias;
      } else {
        add(p_.bias + column, count, values);
      }
    }
    if (p_.residual != nullptr && p_.residual_first) add(p_.residual + offset, count, values);
    if (p_.activation == GR_ACTIVATION_RELU) {
      GRADUS_UNROLL
      for (int i = 0; i < kRowPiece; i++) values[i] = values[i] <= 0 ? Accumulator(0) : values[i];  // NaN stays
    }
    if (p_.rng != nullptr) {
      uint64_t index = first_element_ + uint64_t(row) * uint64_t(p_.columns) + uint64_t(column);
      uint32_t keeps = dropout_keeps_piece(seed_, counter_, index, p_.dropout_threshold);
      GRADUS_UNROLL
      for (int i = 0; i < kRowPiece; i++) values[i] = (keeps >> i & 1) != 0 ? values[i] * p_.dropout_scale : Accumulator(0);
    }
    if (p_.residual != nullptr && !p_.residual_first) add(p_.residual + offset, count, values);
    if (p_.accumulate) add(p_.out + offset, count, values);
    store_piece(p_.out + offset, count, p_.vector, values);
  }

 private:
  GRADUS_DEVICE void add(const T* from, int count, Accumulator (&values)[kRowPiece]) const {
    Accumulator other[kRowPiece];
    load_piece(from, count, p_.vector, other);
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i++) values[i] += other[i];
  }

  const EpilogueParameters<T>& p_;
  int64_t out_offset_;
  uint64_t first_element_;
  uint64_t seed_, counter_;
};

}  // namespace gradus
