// What batch normalisation makes of one number, and the mask of its ReLU: the same for the kernels that write the result and for
// those that multiply with it, so that they agree bit for bit.
#pragma once

#include <cstdint>

#include "device/portable.h"

namespace gradus {

// scale: invStd weight.
template <class A>
GRADUS_DEVICE A norm_value(A x, A mean, A scale, A shift) {
  return (x - mean) * scale + shift;
}

template <class A>
GRADUS_DEVICE A norm_relu(A value) {
  return value <= A(0) ? A(0) : value;  // NaN stays
}

// The mask byte of eight elements; past the last element up to the end of its 32-bit word there are zeros.
GRADUS_DEVICE void store_mask(uint8_t* mask, int64_t element, int64_t elements, unsigned bits) {
  mask[element / 8] = uint8_t(bits);
  if (element + 8 >= elements) {
    GRADUS_ROLLED
    for (int64_t i = element / 8 + 1; i < (elements + 31) / 32 * 4; i++) mask[i] = 0;
  }
}

}  // namespace gradus
