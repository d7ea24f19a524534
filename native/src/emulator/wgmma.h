// The wgmma operations of one warpgroup that are in flight.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "emulator/kernel_api.h"

namespace gradus::emulator {

constexpr int kWarpgroup = 128;

// The accumulators of a chain of operations, out of the threads' reach until the chain is waited for.
struct Accumulators {
  int n = 0;
  std::vector<float> tile;               // [64][n]
  Site site{};                           // of the latest operation
  float* owner[kWarpgroup] = {};         // each thread's own array; null once delivered
  unsigned last_operation[kWarpgroup] = {};
};

struct Operation {
  Wgmma what;
  Site site;
  unsigned group;
  unsigned joined = 0, finished = 0;
  int computed_by = -1;
  std::vector<uint32_t> a;  // [128][4] where A is in registers
  std::shared_ptr<Accumulators> accumulators;
  char issued = 0, done = 0;  // TSan
};

struct Warpgroup {
  std::deque<Operation> operations;
  unsigned first_number = 0;  // of operations.front()
  std::vector<std::shared_ptr<Accumulators>> accumulators;
  std::vector<const void*> chunks;
};

}  // namespace gradus::emulator
