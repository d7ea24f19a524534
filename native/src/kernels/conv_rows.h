// What a product of a convolution does with its sums, eight neighbouring columns at a time, and the statistics of columns.
#pragma once

#include "device/epilogue.h"
#include "kernels/conv_parts.h"

namespace gradus::conv {

// Mean and sum of squared differences from it, of so many numbers. Merged as in Chan, Golub, LeVeque, "Algorithms for computing
// the sample variance", The American Statistician 37, 1983.
template <class Acc>
struct Moments {
  Acc mean, squares;

  GRADUS_DEVICE void add(Acc value, Acc inverse_count) {
    Acc difference = value - mean;
    mean += difference * inverse_count;
    squares += difference * (value - mean);
  }
  // `share` is other's share in the numbers of both, `weight` the product of the counts over their sum.
  GRADUS_DEVICE void merge(Acc other_mean, Acc other_squares, Acc share, Acc weight) {
    Acc difference = other_mean - mean;
    mean += difference * share;
    squares += other_squares + difference * difference * weight;
  }
};

// What the pipeline calls for every eight neighbouring columns.
template <class Problem>
class PieceSink {
 public:
  using T = typename Problem::Element;
  using Acc = typename Problem::Acc;

  GRADUS_DEVICE PieceSink(const Problem& problem, int z, bool statistics) : problem_(problem), z_(z), statistics_(statistics) {
    begin();
  }

  GRADUS_DEVICE void operator()(int row, int column, Acc (&values)[kRowPiece]) {
    int64_t offset = problem_.row_offset(row, z_);
    if (offset < 0) return;
    if constexpr (Problem::kSplits) {
      if (problem_.partial != nullptr) {
        Acc* partial = problem_.partial + int64_t(problem_.split(z_)) * problem_.weights + offset;
        if (problem_.vector) {
          int first = problem_.column_offset(column, z_);
          if (first >= 0) store_piece(partial + first, kRowPiece, true, values);
        } else {
          GRADUS_UNROLL
          for (int i = 0; i < kRowPiece; i++) {
            int at = problem_.column_offset(column + i, z_);
            if (at >= 0) partial[at] = values[i];
          }
        }
        return;
      }
    }
    const Epilogue<T>& epilogue = problem_.epilogue;
    if (problem_.vector) {
      int first = problem_.column_offset(column, z_);
      if (first < 0) return;
      if (epilogue.bias != nullptr) {
        GRADUS_UNROLL
        for (int i = 0; i < kRowPiece; i++) values[i] += to_float(epilogue.bias[first + i]);
      }
      if (epilogue.residual != nullptr) add(epilogue.residual + offset + first, values);
      if constexpr (Problem::kStatistics) observe(values);
      if (epilogue.relu) {
        GRADUS_UNROLL
        for (int i = 0; i < kRowPiece; i++) values[i] = Epilogue<T>::relu_of(values[i]);
      }
      if (epilogue.accumulate) add(epilogue.result + offset + first, values);
      store_piece(epilogue.result + offset + first, kRowPiece, true, values);
    } else {
      int at[kRowPiece];
      GRADUS_UNROLL
      for (int i = 0; i < kRowPiece; i++) {
        at[i] = problem_.column_offset(column + i, z_);
        if (at[i] < 0) continue;
        if (epilogue.bias != nullptr) values[i] += to_float(epilogue.bias[at[i]]);
        if (epilogue.residual != nullptr) values[i] += to_float(epilogue.residual[offset + at[i]]);
      }
      if constexpr (Problem::kStatistics) observe(values);
      GRADUS_UNROLL
      for (int i = 0; i < kRowPiece; i++) {
        if (at[i] < 0) continue;
        if (epilogue.relu) values[i] = Epilogue<T>::relu_of(values[i]);
        if (epilogue.accumulate) values[i] += to_float(epilogue.result[offset + at[i]]);
        epilogue.result[offset + at[i]] = from_accumulator<T>(values[i]);
      }
    }
  }

 protected:
  GRADUS_DEVICE void begin() {
    count_ = 0;
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i++) moments_[i] = {0, 0};
  }

  // The statistics of the calling thread's columns over all rows of its warp, of which neighbours read other columns kRowLanes
  // at a time: in a fixed order.
  template <int kRowLanes>
  GRADUS_DEVICE void merge_warp(Moments<Acc> (&mine)[kRowPiece]) const {
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i++) mine[i] = moments_[i];
    int count = count_;
    GRADUS_UNROLL
    for (int distance = 16; distance >= kRowLanes; distance /= 2) {
      int others = __shfl_xor_sync(kFullWarp, count, distance);
      int both = count + others;
      Acc share = both > 0 ? Acc(others) / Acc(both) : Acc(0);
      Acc weight = Acc(count) * share;
      GRADUS_UNROLL
      for (int i = 0; i < kRowPiece; i++) {
        Acc mean = __shfl_xor_sync(kFullWarp, mine[i].mean, distance);
        Acc squares = __shfl_xor_sync(kFullWarp, mine[i].squares, distance);
        mine[i].merge(mean, squares, share, weight);
      }
      count = both;
    }
  }

  const Problem& problem_;
  int z_;
  bool statistics_;

 private:
  static GRADUS_DEVICE void add(const T* from, Acc (&values)[kRowPiece]) {
    Acc other[kRowPiece];
    load_piece(from, kRowPiece, true, other);
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i++) values[i] += other[i];
  }

  // The numbers as y holds them without activation: what a following normalisation sees.
  GRADUS_DEVICE void observe(const Acc (&values)[kRowPiece]) {
    if (!statistics_) return;
    count_++;
    Acc inverse = Acc(1) / Acc(count_);
    GRADUS_UNROLL
    for (int i = 0; i < kRowPiece; i++) moments_[i].add(to_float(from_accumulator<T>(values[i])), inverse);
  }

  int count_;
  Moments<Acc> moments_[kRowPiece];
};

// Merges the statistics of the warps of a tile, each of kWarpRows rows below the last one's, in order; `at` finds those of a warp.
template <int kWarps, int kWarpRows, class Acc, class At>
GRADUS_DEVICE Moments<Acc> merge_warps(int rows, At at) {
  Moments<Acc> total = at(0);
  int seen = min(rows, kWarpRows);
  for (int i = 1; i < kWarps && rows > i * kWarpRows; i++) {
    int others = min(rows - i * kWarpRows, kWarpRows);
    Acc share = Acc(others) / Acc(seen + others);
    Moments<Acc> next = at(i);
    total.merge(next.mean, next.squares, share, Acc(seen) * share);
    seen += others;
  }
  return total;
}

}  // namespace gradus::conv
