// Strided layouts on the host, brought to as few axes as they have: what kernels and the processor's loops walk along.
#pragma once

#include <cstdint>

#include "gradus/elementwise.h"

namespace gradus {

// Axes outermost first, with the strides of K operands in elements.
template <int K>
struct Strided {
  int rank = 0;
  int64_t shape[GR_MAX_RANK];
  int64_t stride[K][GR_MAX_RANK];

  int64_t elements() const {
    int64_t n = 1;
    for (int axis = 0; axis < rank; axis++) n *= shape[axis];
    return n;
  }

  void append(const Strided& from, int axis) {
    shape[rank] = from.shape[axis];
    for (int k = 0; k < K; k++) stride[k][rank] = from.stride[k][axis];
    rank++;
  }

  // Drops axes of one element and merges those that every operand runs through evenly; at least one axis stays.
  void collapse() {
    Strided from = *this;
    rank = 0;
    for (int axis = 0; axis < from.rank; axis++) {
      if (from.shape[axis] == 1) continue;
      bool even = rank > 0;
      for (int k = 0; k < K && even; k++) even = stride[k][rank - 1] == from.stride[k][axis] * from.shape[axis];
      if (even) {
        int64_t extent = shape[rank - 1] * from.shape[axis];
        rank--;
        append(from, axis);
        shape[rank - 1] = extent;
      } else {
        append(from, axis);
      }
    }
    if (rank > 0) return;
    rank = 1;
    shape[0] = 1;
    for (int k = 0; k < K; k++) stride[k][0] = 1;
  }
};

}  // namespace gradus
