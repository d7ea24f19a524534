// Philox4x32-10 (device/philox.h) of several counters at once, in the order in which elements take the words.
//
// A counter's words stand in the lower halves of 64-bit lanes, where the machine multiplies 32 bits by 32 to 64: a product's upper
// half is a shift away, and what a lane's own upper half holds does not matter.
#pragma once

#include "cpu/simd.h"
#include "device/philox.h"

#if defined(__SSE2__) && !defined(__AVX2__)
#include <emmintrin.h>
#endif

namespace gradus::cpu {

using Words = Vec<uint64_t>;

// The product of the lower halves.
GRADUS_INLINE Words multiply_low(Words a, Words b) {
#if defined(GRADUS_VECTOR_BYTES)
  return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#elif defined(__AVX512F__)
  return Words(_mm512_mul_epu32(__m512i(a), __m512i(b)));
#elif defined(__AVX2__)
  return Words(_mm256_mul_epu32(__m256i(a), __m256i(b)));
#elif defined(__SSE2__)
  return Words(_mm_mul_epu32(__m128i(a), __m128i(b)));
#else
  return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

// What a call of the ABI draws from: rng [seed, base] and the number of the operation.
struct PhiloxKey {
  uint64_t seed, counter;

  PhiloxKey(const int64_t* rng, int64_t number) : seed(uint64_t(rng[0])), counter(uint64_t(rng[1]) + uint64_t(number)) {}
};

// Counters of a vector; and of two vectors, which take turns, since each waits for its products.
constexpr int kPhiloxLanes = lanes_of<uint64_t>;
constexpr int kPhiloxBlocks = 2 * kPhiloxLanes;

template <int... I>
GRADUS_INLINE Words interleave(Words a, Words b, std::integer_sequence<int, I...>, int first) {
  // 0, n, 1, n + 1, ...: neighbours come from both.
  return __builtin_shuffle(a, b, Words{uint64_t(I / 2 + first + (I % 2) * kPhiloxLanes)...});
}

// Words 4 i to 4 i + 3 are those of block `first` + i, for `blocks` blocks; written by kPhiloxBlocks blocks, so that there must be
// room for up to kPhiloxBlocks - 1 more.
inline void philox_words(const PhiloxKey& key, uint64_t first, int64_t blocks, uint32_t* words) {
  constexpr auto kOrder = std::make_integer_sequence<int, kPhiloxLanes>();
  constexpr uint64_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr uint64_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  Words lane;
  for (int i = 0; i < kPhiloxLanes; i++) lane[i] = uint64_t(i);
  for (int64_t i = 0; i < blocks; i += kPhiloxBlocks) {
    Words c0[2], c1[2], c2[2], c3[2];
    for (int v = 0; v < 2; v++) {
      c0[v] = lane + (first + uint64_t(i + v * kPhiloxLanes));
      c1[v] = c0[v] >> 32;
      c2[v] = broadcast(key.counter);
      c3[v] = broadcast(key.counter >> 32);
    }
    Words k0 = broadcast(key.seed), k1 = broadcast(key.seed >> 32);  // sums carry into the upper halves only
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; v++) {
        Words p0 = multiply_low(c0[v], broadcast(kMultiplier0)), p1 = multiply_low(c2[v], broadcast(kMultiplier1));
        c0[v] = (p1 >> 32) ^ c1[v] ^ k0;
        c1[v] = p1;
        c2[v] = (p0 >> 32) ^ c3[v] ^ k1;
        c3[v] = p0;
      }
      k0 += kWeyl0;
      k1 += kWeyl1;
    }
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
      Words low = (c0[v] & 0xFFFFFFFFu) | (c1[v] << 32), high = (c2[v] & 0xFFFFFFFFu) | (c3[v] << 32);
      auto* out = reinterpret_cast<uint64_t*>(words + 4 * (i + v * kPhiloxLanes));
      store(out, interleave(low, high, kOrder, 0));
      store(out + kPhiloxLanes, interleave(low, high, kOrder, kPhiloxLanes / 2));
    }
  }
}

}  // namespace gradus::cpu
