// Warp operations: CUDA's intrinsics for the emulator, and reductions built from them for both.
//
// On the emulator every named lane must be alive and come to the same line, and a value may only be taken from a lane that
// takes part: what the hardware leaves undefined is an error here.
#pragma once

#include "device/portable.h"

#if GRADUS_EMULATED
#include "emulator/dialect_warp.h"
#endif

namespace gradus {

constexpr unsigned kFullWarp = 0xFFFFFFFFu;

GRADUS_DEVICE int lane_index() {
#if GRADUS_EMULATED
  return emulator::lane();
#else
  unsigned linear = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  return int(linear & 31);
#endif
}

// Every lane gets combine over all 32 lanes. The tree is fixed, so the result is the same in every run.
template <class T, class F>
GRADUS_DEVICE T warp_reduce(T value, F combine, Site site = Site::here()) {
  (void)site;
  GRADUS_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(kFullWarp, value, distance, 32 GRADUS_AT(site)));
  }
  return value;
}

template <class T>
GRADUS_DEVICE T warp_sum(T value, Site site = Site::here()) {
  return warp_reduce(value, [](T a, T b) { return a + b; }, site);
}

template <class T>
GRADUS_DEVICE T warp_max(T value, Site site = Site::here()) {
  return warp_reduce(value, [](T a, T b) { return a < b ? b : a; }, site);
}

}  // namespace gradus
