// Philox4x32-10, a counter-based generator: four words are a pure function of a 64-bit key and a 128-bit counter. Keyed by
// (seed; element block, stream), never by thread, so that every backend draws the same bits: the same as Philox.java and
// DropoutMask.java.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include "device/portable.h"

namespace gradus {

struct PhiloxWords {
  uint32_t word[4];
};

// `stream` is the upper half of the counter (which operation), `block` the lower (which group of elements).
GRADUS_HOST_DEVICE PhiloxWords philox(uint64_t seed, uint64_t stream, uint64_t block) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53u;
  constexpr uint32_t kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u;
  constexpr uint32_t kWeyl1 = 0xBB67AE85u;
  auto c0 = uint32_t(block);
  auto c1 = uint32_t(block >> 32);
  auto c2 = uint32_t(stream);
  auto c3 = uint32_t(stream >> 32);
  auto k0 = uint32_t(seed);
  auto k1 = uint32_t(seed >> 32);
  GRADUS_UNROLL
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = uint64_t(kMultiplier0) * c0;
    uint64_t p1 = uint64_t(kMultiplier1) * c2;
    c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

// A word as a float on [0, 1) with 24 random bits.
GRADUS_HOST_DEVICE float philox_uniform(uint32_t word) { return float(word >> 8) * 0x1p-24f; }

// Two words as a double on [0, 1) with 53 random bits.
GRADUS_HOST_DEVICE double philox_uniform(uint32_t high, uint32_t low) {
  return double(uint64_t(high >> 5) << 26 | low >> 6) * 0x1p-53;
}

// A word as an integer on [0, bound).
GRADUS_HOST_DEVICE uint32_t philox_below(uint32_t word, uint32_t bound) { return uint32_t(uint64_t(word) * bound >> 32); }

// Dropout: one block serves eight elements, 16 bits each, the lower half of a word before its upper half. Element i is kept when
// value i % 8 of block i / 8 is at least p 2^16, rounded.
constexpr int kDropoutValues = 8;
GRADUS_HOST_DEVICE uint32_t philox_half(const PhiloxWords& words, int i) { return words.word[i / 2] >> (16 * (i % 2)) & 0xFFFF; }
GRADUS_HOST_DEVICE bool dropout_keeps(uint64_t seed, uint64_t counter, uint64_t index, uint32_t threshold) {
  return philox_half(philox(seed, counter, index / kDropoutValues), int(index % kDropoutValues)) >= threshold;
}

}  // namespace gradus
