// Named barriers 0 to 15 (0 is __syncthreads). `threads` is a multiple of 32.
// Source: PTX ISA, bar.sync, bar.arrive.
#pragma once

#include "device/portable.h"

namespace gradus::ptx {

GRADUS_DEVICE void barrier_sync(int id, int threads, Site site = Site::here()) {
  (void)site;
#if GRADUS_EMULATED
  emulator::block_barrier(id, threads, true, site);
#else
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

// Arrives without waiting: the producer's half.
GRADUS_DEVICE void barrier_arrive(int id, int threads, Site site = Site::here()) {
  (void)site;
#if GRADUS_EMULATED
  emulator::block_barrier(id, threads, false, site);
#else
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

}  // namespace gradus::ptx
