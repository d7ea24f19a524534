// Vectors as wide as the machine's registers: one source for AVX-512, AVX2, SSE2 and NEON, by the compiler's vector types. How
// wide is fixed when a file is compiled; every instruction set has a library of its own (see dispatch.cpp), so that nothing here
// is ever shared between two of them.
//
//   for (int64_t i = 0; i < n; i += kLanes) {
//     int lanes = lanes_left(n - i);
//     store_some(y + i, max(load_some(x + i, lanes), zero), lanes);
//   }
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "device/half.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define GRADUS_INLINE inline __attribute__((always_inline))

namespace gradus::cpu {

#if defined(GRADUS_VECTOR_BYTES)  // wider than the machine, for tests
constexpr int kVectorBytes = GRADUS_VECTOR_BYTES;
#elif defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// Vector registers there are: what a register tile may use.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
};
template <class T>
using Vec = typename VectorOf<T>::type;
using Floats = Vec<float>;
using Ints = Vec<int32_t>;
using Doubles = Vec<double>;

template <class T>
constexpr int lanes_of = kVectorBytes / int(sizeof(T));
constexpr int kLanes = lanes_of<float>;

template <class T = float>
GRADUS_INLINE int lanes_left(int64_t n) {
  return n < lanes_of<T> ? int(n) : lanes_of<T>;
}

template <class T>
GRADUS_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};  // the form that compilers turn into one instruction; keeps -0
}

template <class T>
GRADUS_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}
template <class T>
GRADUS_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}

#if defined(__AVX512F__)
// The forms without a mask begin with a register of whatever it holds, which GCC 12 warns of (bug 105593).
constexpr __mmask16 kAllLanes = 0xFFFF;
#endif

// 0, 1, 2, ...
GRADUS_INLINE Ints lane_numbers() {
  Ints out = {};
  for (int i = 0; i < kLanes; i++) out[i] = i;
  return out;
}

// The first lanes only; the others are read as 0 and not written.
GRADUS_INLINE Floats load_some(const float* p, int lanes) {
  if (lanes == kLanes) return load(p);
#if defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
  return Floats(_mm512_maskz_loadu_ps(__mmask16((1u << lanes) - 1), p));
#elif defined(__AVX2__) && !defined(GRADUS_VECTOR_BYTES)
  return Floats(_mm256_maskload_ps(p, __m256i(lane_numbers() < lanes)));
#else
  Floats out = {};
  memcpy(&out, p, size_t(lanes) * sizeof(float));
  return out;
#endif
}
GRADUS_INLINE void store_some(float* p, Floats v, int lanes) {
  if (lanes == kLanes) return store(p, v);
#if defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
  _mm512_mask_storeu_ps(p, __mmask16((1u << lanes) - 1), __m512(v));
#elif defined(__AVX2__) && !defined(GRADUS_VECTOR_BYTES)
  // In parts: a masked store takes many cycles on some machines, and what it stored is not forwarded to a load.
  __m128 part = _mm256_castps256_ps128(__m256(v));
  if (lanes & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(__m256(v), 1);
    p += 4;
  }
  if (lanes & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (lanes & 1) _mm_store_ss(p, part);
#else
  memcpy(p, &v, size_t(lanes) * sizeof(float));
#endif
}
template <class T>
GRADUS_INLINE Vec<T> load_some(const T* p, int lanes) {
  Vec<T> out = {};
  memcpy(&out, p, size_t(lanes) * sizeof(T));
  return out;
}
template <class T>
GRADUS_INLINE void store_some(T* p, Vec<T> v, int lanes) {
  memcpy(p, &v, size_t(lanes) * sizeof(T));
}

template <class V>
GRADUS_INLINE V fma(V a, V b, V c) {
  return a * b + c;  // contracted where the machine can
}
// As the instructions do it: the second where either is NaN.
template <class V>
GRADUS_INLINE V max(V a, V b) {
  return a > b ? a : b;
}
template <class V>
GRADUS_INLINE V min(V a, V b) {
  return a < b ? a : b;
}
// a where the mask's lanes are -1, b where they are 0.
template <class M, class V>
GRADUS_INLINE V select(M mask, V a, V b) {
  return mask ? a : b;
}

GRADUS_INLINE Ints as_ints(Floats x) { return reinterpret_cast<Ints>(x); }
GRADUS_INLINE Floats as_floats(Ints x) { return reinterpret_cast<Floats>(x); }
GRADUS_INLINE Floats to_floats(Ints x) { return __builtin_convertvector(x, Floats); }
GRADUS_INLINE Ints to_ints(Floats x) { return __builtin_convertvector(x, Ints); }  // towards zero
GRADUS_INLINE Floats abs(Floats x) { return as_floats(as_ints(x) & 0x7FFFFFFF); }
GRADUS_INLINE Floats sqrt(Floats x) {
#if defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
  return Floats(_mm512_maskz_sqrt_ps(kAllLanes, __m512(x)));
#elif defined(__AVX2__) && !defined(GRADUS_VECTOR_BYTES)
  return Floats(_mm256_sqrt_ps(__m256(x)));
#else
  Floats out = {};
  for (int i = 0; i < kLanes; i++) out[i] = __builtin_sqrtf(x[i]);
  return out;
#endif
}

GRADUS_INLINE Doubles sqrt(Doubles x) {
#if defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
  return Doubles(_mm512_maskz_sqrt_pd(__mmask8(kAllLanes), __m512d(x)));
#elif defined(__AVX2__) && !defined(GRADUS_VECTOR_BYTES)
  return Doubles(_mm256_sqrt_pd(__m256d(x)));
#else
  Doubles out;
  for (int i = 0; i < lanes_of<double>; i++) out[i] = __builtin_sqrt(x[i]);
  return out;
#endif
}

// A comparison's result as one bit a lane, the first lane's the lowest; and back.
template <class M>
GRADUS_INLINE uint32_t bits_of_mask(M mask) {
#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
  if constexpr (sizeof(mask[0]) == 4) return uint32_t(_mm256_movemask_ps(__m256(mask)));
#endif
  uint32_t bits = 0;
  for (int i = 0; i < int(sizeof(M) / sizeof(mask[0])); i++) bits |= uint32_t(mask[i] & 1) << i;
  return bits;
}
template <class M>
GRADUS_INLINE M mask_of_bits(uint32_t bits) {
  M lane;
  for (int i = 0; i < int(sizeof(M) / sizeof(lane[0])); i++) lane[i] = 1 << i;
  return M((lane & bits) != 0);
}

// Of all lanes, in the order of a tree: the same for every run.
template <class V>
GRADUS_INLINE auto sum(V v) {
  using T = std::decay_t<decltype(v[0])>;
  if constexpr (sizeof(V) == 2 * sizeof(T)) {
    return v[0] + v[1];
  } else {
    typedef T Half __attribute__((vector_size(sizeof(V) / 2)));
    Half half[2];
    memcpy(half, &v, sizeof v);
    return sum(half[0] + half[1]);
  }
}

// 16-bit types, computed with as floats. A load widens, a store rounds to nearest, ties to even.
template <class T>
GRADUS_INLINE Floats load_floats_some(const T* p, int lanes) {
  if constexpr (sizeof(T) == 4) {
    return load_some(p, lanes);
  } else {
    typedef uint16_t Bits __attribute__((vector_size(kVectorBytes / 2)));
    Bits bits = {};
    memcpy(&bits, p, lanes == kLanes ? sizeof bits : size_t(lanes) * 2);
    if constexpr (std::is_same_v<T, bfloat16>) {
      return as_floats(__builtin_convertvector(bits, Ints) << 16);
    } else {
#if defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
      return Floats(_mm512_maskz_cvtph_ps(kAllLanes, __m256i(bits)));
#elif defined(__F16C__) && !defined(GRADUS_VECTOR_BYTES)
      return Floats(_mm256_cvtph_ps(__m128i(bits)));
#else
      Floats out = {};
      for (int i = 0; i < kLanes; i++) out[i] = float16_bits_to_float(bits[i]);
      return out;
#endif
    }
  }
}
template <class T>
GRADUS_INLINE void store_floats_some(T* p, Floats v, int lanes) {
  if constexpr (sizeof(T) == 4) {
    store_some(p, v, lanes);
  } else {
    typedef uint16_t Bits __attribute__((vector_size(kVectorBytes / 2)));
    Bits bits = {};
    if constexpr (std::is_same_v<T, bfloat16>) {
      Ints x = as_ints(v);
      auto wrapping = Vec<uint32_t>(x);  // a NaN's bits may overflow
      Ints rounded = Ints((wrapping + 0x7FFFu + ((wrapping >> 16) & 1u)) >> 16);
      bits = __builtin_convertvector(select((x & 0x7FFFFFFF) > 0x7F800000, broadcast(0x7FFF), rounded), Bits);
    } else {
      // The conversion keeps a NaN's bits; the canonical one is 0x7FFF on every backend.
#if defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
      bits = Bits(_mm512_maskz_cvtps_ph(kAllLanes, __m512(v), _MM_FROUND_TO_NEAREST_INT));
      typedef int16_t Signed __attribute__((vector_size(kVectorBytes / 2)));
      bits = (Signed(bits) & 0x7FFF) > 0x7C00 ? Bits{} + 0x7FFF : bits;
#elif defined(__F16C__) && !defined(GRADUS_VECTOR_BYTES)
      bits = Bits(_mm256_cvtps_ph(__m256(v), _MM_FROUND_TO_NEAREST_INT));
      typedef int16_t Signed __attribute__((vector_size(kVectorBytes / 2)));
      bits = (Signed(bits) & 0x7FFF) > 0x7C00 ? Bits{} + 0x7FFF : bits;
#else
      for (int i = 0; i < kLanes; i++) bits[i] = float_to_float16_bits(v[i]);
#endif
    }
    memcpy(p, &bits, lanes == kLanes ? sizeof bits : size_t(lanes) * 2);
  }
}
template <class T>
GRADUS_INLINE Floats load_floats(const T* p) {
  return load_floats_some(p, kLanes);
}
template <class T>
GRADUS_INLINE void store_floats(T* p, Floats v) {
  store_floats_some(p, v, kLanes);
}


// Elements in the type that they are computed in: double as double, else float.
template <class T>
GRADUS_INLINE Vec<accumulator_t<T>> load_wide_some(const T* p, int lanes) {
  if constexpr (sizeof(T) == 8) return load_some(p, lanes);
  else return load_floats_some(p, lanes);
}
template <class T>
GRADUS_INLINE Vec<accumulator_t<T>> load_wide(const T* p) {
  if constexpr (sizeof(T) == 8) return load(p);
  else return load_floats(p);
}
template <class T>
GRADUS_INLINE void store_wide_some(T* p, Vec<accumulator_t<T>> v, int lanes) {
  if constexpr (sizeof(T) == 8) store_some(p, v, lanes);
  else store_floats_some(p, v, lanes);
}

}  // namespace gradus::cpu
