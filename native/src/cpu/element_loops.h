// Loops over the elements of dense arrays, and the element types that such loops are for.
#pragma once

#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "device/convert.h"
#include "plugin/handle.h"
#include "plugin/types.h"

namespace gradus::cpu {

// BOOL is computed with as a byte that becomes 0 or 1.
template <class T>
using storage_t = std::conditional_t<std::is_same_v<T, bool>, Bool, T>;

template <class F>
int with_any(int32_t dtype, F f) {
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t, bool>(dtype, [&](auto type) {
    return f(Type<storage_t<typename decltype(type)::type>>{});
  });
}

// Types that are computed with in vectors of floats.
template <class T>
constexpr bool kInFloats = kIsFloating<T> && sizeof(T) <= 4;

// Elements that are worth a chunk of their own: some twenty microseconds.
constexpr int64_t kCheapGrain = 1 << 15;
constexpr int64_t kDearGrain = 1 << 13;

// Results of so many bytes will not be found in the cache when they are read, and writing them past it saves reading first what is
// overwritten. Where the result lies over its operand that was read anyway.
constexpr int64_t kBeyondCache = int64_t(16) << 20;

#if defined(__AVX2__) && !defined(GRADUS_VECTOR_BYTES)
constexpr bool kCanStream = true;
GRADUS_INLINE void store_past_cache(float* p, Floats v) {  // p is aligned
#if defined(__AVX512F__)
  _mm512_stream_ps(p, __m512(v));
#else
  _mm256_stream_ps(p, __m256(v));
#endif
}
// Before others may read what was stored.
GRADUS_INLINE void stored_past_cache() { _mm_sfence(); }
#else
constexpr bool kCanStream = false;
GRADUS_INLINE void store_past_cache(float* p, Floats v) { store(p, v); }
GRADUS_INLINE void stored_past_cache() {}
#endif

// y[i] for i from begin to end, from step(i, how many lanes of it count), a vector of floats.
template <class T, class Step>
GRADUS_INLINE void write_floats(T* y, int64_t begin, int64_t end, bool past_cache, Step step) {
  auto edge = [&](int64_t i, int lanes) __attribute__((noinline)) { store_floats_some(y + i, step(i, lanes), lanes); };
  int64_t i = begin;
  if constexpr (kCanStream && sizeof(T) == 4) {
    if (past_cache) {
      int64_t before = -(int64_t(reinterpret_cast<uintptr_t>(y + i)) / 4) & (kLanes - 1);
      before = before < end - i ? before : end - i;
      if (before > 0) edge(i, int(before));
      for (i += before; i + kLanes <= end; i += kLanes) store_past_cache(y + i, step(i, kLanes));
      stored_past_cache();
    }
  }
  for (; i + kLanes <= end; i += kLanes) store_floats(y + i, step(i, kLanes));
  if (i < end) edge(i, int(end - i));
}

}  // namespace gradus::cpu
