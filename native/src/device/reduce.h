// Reductions over a block. The tree is fixed, so the result is the same in every run; every thread gets it.
#pragma once

#include "device/block.h"
#include "device/warp.h"

namespace gradus {

// Threads: threads of the block, a multiple of 32; one-dimensional blocks. `neutral` is combined without effect.
template <int Threads, class T, class F>
GRADUS_DEVICE T block_reduce(T value, T neutral, F combine, Site site = Site::here()) {
  static_assert(Threads % 32 == 0 && Threads <= 1024, "whole warps, at most 32 of them");
  constexpr int kWarps = Threads / 32;
  GRADUS_SHARED(T, partial, [kWarps]);
  value = warp_reduce(value, combine, site);
  if (kWarps == 1) return value;
  int lane = int(threadIdx.x) % 32;
  if (lane == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();  // every warp's part is there before it is combined
  value = warp_reduce(lane < kWarps ? partial[lane] : neutral, combine, site);
  __syncthreads();  // everybody has read before the next reduction overwrites
  return value;
}

template <int Threads, class T>
GRADUS_DEVICE T block_sum(T value, Site site = Site::here()) {
  return block_reduce<Threads>(value, T(0), [](T a, T b) { return a + b; }, site);
}

}  // namespace gradus
