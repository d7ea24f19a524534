// bfloat16 and float16: storage types, converted to float to be computed with. Conversions round to nearest, ties to even, on
// both sides; NaN stays NaN (as the canonical 0x7FFF, which is what the hardware gives).
// Source: PTX ISA, cvt.rn.bf16.f32 and cvt.rn.f16.f32; IEEE 754-2019, binary16.
#pragma once

#include <cstdint>
#include <cstring>

#include "device/portable.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace gradus {

#if defined(__CUDACC__)

using bfloat16 = __nv_bfloat16;
using float16 = __half;
GRADUS_HOST_DEVICE float to_float(bfloat16 x) { return __bfloat162float(x); }
GRADUS_HOST_DEVICE float to_float(float16 x) { return __half2float(x); }

#else

inline float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

inline float bfloat16_bits_to_float(uint16_t bits) { return bits_to_float(uint32_t(bits) << 16); }
inline uint16_t float_to_bfloat16_bits(float value) {
  uint32_t bits = float_to_bits(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;
  return uint16_t((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

inline float float16_bits_to_float(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 31;
  uint32_t fraction = bits & 0x3FF;
  if (exponent == 31) return bits_to_float(sign | 0x7F800000u | fraction << 13);
  if (exponent != 0) return bits_to_float(sign | (exponent + 112) << 23 | fraction << 13);
  float magnitude = float(fraction) * 0x1p-24f;  // subnormal, exact
  return sign != 0 ? -magnitude : magnitude;
}
inline uint16_t float_to_float16_bits(float value) {
  uint32_t bits = float_to_bits(value);
  auto sign = uint16_t(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return 0x7FFF;
  if (magnitude >= 0x477FF000u) return uint16_t(sign | 0x7C00);  // 65520 and more round to infinity
  if (magnitude < 0x38800000u) {                                  // below 2^-14: subnormal; adding 0.5 puts the unit at 2^-24
    float shifted = bits_to_float(magnitude) + 0.5f;
    return uint16_t(sign | (float_to_bits(shifted) - 0x3F000000u));
  }
  magnitude += 0xFFFu + (magnitude >> 13 & 1);
  return uint16_t(sign | ((magnitude - 0x38000000u) >> 13));
}

struct bfloat16 {
  uint16_t bits;
};
struct float16 {
  uint16_t bits;
};
inline float to_float(bfloat16 x) { return bfloat16_bits_to_float(x.bits); }
inline float to_float(float16 x) { return float16_bits_to_float(x.bits); }
#endif

GRADUS_HOST_DEVICE float to_float(float x) { return x; }
GRADUS_HOST_DEVICE double to_float(double x) { return x; }

template <class T>
GRADUS_HOST_DEVICE T from_float(float x);
template <>
GRADUS_HOST_DEVICE float from_float<float>(float x) {
  return x;
}
template <>
GRADUS_HOST_DEVICE bfloat16 from_float<bfloat16>(float x) {
#if defined(__CUDACC__)
  return __float2bfloat16_rn(x);
#else
  return {float_to_bfloat16_bits(x)};
#endif
}
template <>
GRADUS_HOST_DEVICE float16 from_float<float16>(float x) {
#if defined(__CUDACC__)
  return __float2half_rn(x);
#else
  return {float_to_float16_bits(x)};
#endif
}

template <>
GRADUS_HOST_DEVICE double from_float<double>(float x) {
  return x;
}

// The type that sums over elements of a type are formed in, and the way back: one rounding.
template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using accumulator_t = typename AccumulatorOf<T>::type;

template <class T>
GRADUS_HOST_DEVICE T from_accumulator(accumulator_t<T> x) {
  if constexpr (sizeof(T) == 8) {
    return x;
  } else {
    return from_float<T>(x);
  }
}

}  // namespace gradus
