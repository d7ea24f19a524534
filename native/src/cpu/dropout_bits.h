// Which elements dropout keeps, a bit for each: for operations that draw the mask of a few neighbours at a time.
#pragma once

#include <cmath>

#include "device/philox.h"

namespace gradus::cpu {

class DropoutBits {
 public:
  DropoutBits() = default;
  DropoutBits(const int64_t* rng, int64_t number, double p)
      : seed_(uint64_t(rng[0])), counter_(uint64_t(rng[1]) + uint64_t(number)), threshold_(uint32_t(std::nearbyint(p * 65536))) {}

  // Bit i is element index + i; count is at most 24.
  uint32_t kept(uint64_t index, int count) const {
    auto shift = int(index % kDropoutValues);
    uint32_t bits = 0;
    for (int block = 0; block * kDropoutValues < shift + count; block++) {
      bits |= of_block(index / kDropoutValues + uint64_t(block)) << (block * kDropoutValues);
    }
    return bits >> shift;
  }

 private:
  uint32_t of_block(uint64_t block) const {
    PhiloxWords words = philox(seed_, counter_, block);
    uint32_t bits = 0;
    for (int i = 0; i < kDropoutValues; i++) bits |= uint32_t(philox_half(words, i) >= threshold_) << i;
    return bits;
  }

  uint64_t seed_ = 0, counter_ = 0;
  uint32_t threshold_ = 0;
};

}  // namespace gradus::cpu
