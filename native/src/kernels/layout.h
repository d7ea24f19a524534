// Strided layouts: cut where 31-bit indices end, and located from inside a kernel.
#pragma once

#include <algorithm>

#include "device/fast_divide.h"
#include "device/strided.h"
#include "gradus/elementwise.h"
#include "kernels/launcher.h"

namespace gradus {

// Indices of a kernel over an Axes are below this: they are divided as 31-bit integers, and stepping past the end must not wrap.
constexpr int64_t kMaxIndices = int64_t(1) << 30;

// Axes as a kernel sees them, innermost first, with the strides of K operands.
template <int K>
struct Axes {
  int rank;  // at least 1
  FastDivide extent[GR_MAX_RANK];
  int64_t stride[K][GR_MAX_RANK];

  GRADUS_DEVICE void locate(int index, int64_t (&offset)[K]) const {
    GRADUS_UNROLL
    for (int k = 0; k < K; k++) offset[k] = 0;
    int axis = 0;
    for (; axis + 1 < rank; axis++) {
      int position;
      index = extent[axis].divide(index, position);
      GRADUS_UNROLL
      for (int k = 0; k < K; k++) offset[k] += position * stride[k][axis];
    }
    GRADUS_UNROLL
    for (int k = 0; k < K; k++) offset[k] += index * stride[k][axis];
  }
};

// Host: axes outermost first, with an address and strides for each of K operands.
template <int K>
struct Layout : Strided<K> {
  using Strided<K>::rank;
  using Strided<K>::shape;
  using Strided<K>::stride;
  int64_t address[K];
  int bytes[K];  // of an element

  // The innermost axis can be walked in packs of `width` elements: every operand is dense along it, or repeats one element. What
  // is left over of a single axis comes after the packs.
  bool packs(int width) const {
    int inner = rank - 1;
    if (rank > 1 && shape[inner] % width != 0) return false;
    for (int k = 0; k < K; k++) {
      if (stride[k][inner] == 0) continue;
      int64_t pack = std::min(width * bytes[k], 16);
      if (stride[k][inner] != 1 || address[k] % pack != 0) return false;
      for (int axis = 0; axis < inner; axis++) {
        if (stride[k][axis] * bytes[k] % pack != 0) return false;
      }
    }
    return true;
  }

  // The axes of the first J operands, the innermost one in steps of `width` elements.
  template <int J>
  Axes<J> axes(int width) const {
    Axes<J> out;
    out.rank = rank;
    for (int i = 0; i < rank; i++) {
      int axis = rank - 1 - i;
      out.extent[i] = FastDivide(int(i == 0 ? std::max<int64_t>(1, shape[axis] / width) : shape[axis]));
      for (int k = 0; k < J; k++) out.stride[k][i] = stride[k][axis] * (i == 0 ? width : 1);
    }
    return out;
  }
};

// Calls launch(layout) for parts of the layout, in order, that have at most `limit` elements each.
template <int K, class F>
int in_parts(Layout<K> layout, F&& launch, int64_t limit = kMaxIndices) {
  if (layout.elements() <= limit) return launch(layout);
  if (layout.shape[0] == 1) {
    layout.collapse();
    return in_parts(layout, launch, limit);
  }
  Layout<K> part = layout;
  part.shape[0] = layout.shape[0] / 2;
  if (part.shape[0] >= 64) part.shape[0] &= ~int64_t(63);  // the second part stays aligned
  int status = in_parts(part, launch, limit);
  if (status != GR_OK) return status;
  for (int k = 0; k < K; k++) part.address[k] += part.shape[0] * part.stride[k][0] * part.bytes[k];
  part.shape[0] = layout.shape[0] - part.shape[0];
  return in_parts(part, launch, limit);
}

}  // namespace gradus
