// Makes tests run on the kernels for capability 9.0.
#pragma once

#include "kernels/matmul_hopper_plan.h"

namespace test {

using gradus::is_hopper;
using gradus::matmul_forced;
#if GRADUS_EMULATED
namespace emulator = gradus::emulator;
#endif

// A device of capability 9.0, and a tile of kHopperTiles (counted from 0) for all products, while it lives. -1, 0 and 0 leave the
// choice to the plan.
struct Hopper {
  explicit Hopper(int tile, int cluster = 1, int64_t splits = 1) {
    matmul_forced() = {0, splits, tile + 1, cluster};
#if GRADUS_EMULATED
    emulator::options().capability = 90;
#endif
  }
  ~Hopper() {
    matmul_forced() = {};
#if GRADUS_EMULATED
    emulator::options().capability = before;
#endif
  }
#if GRADUS_EMULATED
  int before = emulator::options().capability;
#endif
};

// On a GPU of another kind there is nothing to test here.
inline bool has_hopper() { return GRADUS_EMULATED || is_hopper(0); }

}  // namespace test
