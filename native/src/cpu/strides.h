// Strided layouts, walked along the innermost axis.
#pragma once

#include <algorithm>
#include <cstdint>

#include "device/strided.h"
#include "gradus/elementwise.h"

namespace gradus::cpu {

// Axes outermost first, with the strides of K operands in elements.
template <int K>
struct Layout : Strided<K> {
  using Strided<K>::rank;
  using Strided<K>::shape;
  using Strided<K>::stride;

  int64_t inner() const { return shape[rank - 1]; }

  // Calls f(index of the first element, its offset in every operand, how many follow each other along the innermost axis) for
  // runs that cover the elements from begin to end, numbered with the innermost axis running fastest.
  template <class F>
  void for_each_run(int64_t begin, int64_t end, F&& f) const {
    int64_t place[GR_MAX_RANK], offset[K] = {}, rest = begin;
    for (int axis = rank - 1; axis >= 0; axis--) {
      place[axis] = rest % shape[axis];
      rest /= shape[axis];
      for (int k = 0; k < K; k++) offset[k] += place[axis] * stride[k][axis];
    }
    for (int64_t at = begin; at < end;) {
      int axis = rank - 1;
      int64_t count = std::min(end - at, shape[axis] - place[axis]);
      f(at, offset, count);
      at += count;
      // On to the next run: the innermost axis begins anew, the ones outside it count up.
      for (int k = 0; k < K; k++) offset[k] -= place[axis] * stride[k][axis];
      place[axis] = 0;
      for (axis--; axis >= 0; axis--) {
        for (int k = 0; k < K; k++) offset[k] += stride[k][axis];
        if (++place[axis] < shape[axis]) break;
        for (int k = 0; k < K; k++) offset[k] -= shape[axis] * stride[k][axis];
        place[axis] = 0;
      }
    }
  }
};

template <int K>
Layout<K> layout_of(const gr_layout& given) {
  Layout<K> out;
  out.rank = int(given.rank);
  std::copy(given.shape, given.shape + out.rank, out.shape);
  for (int k = 0; k < K; k++) std::copy(given.strides[k], given.strides[k] + out.rank, out.stride[k]);
  return out;
}

}  // namespace gradus::cpu
