// Conversions between element types, each with one rounding: the meaning of gr_cast.
//
// Floats go to integers toward zero, saturating, NaN to 0; to narrower floats to nearest even; integers keep their low bits;
// anything but 0 is true. widen() gives what functions of a type compute in: float, double, or int64_t for the integers.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "device/half.h"

namespace gradus {

// BOOL in memory. Not bool, so that a byte that is neither 0 nor 1 is true, as it is everywhere else, and not undefined.
struct Bool {
  uint8_t value;
};

template <class T>
constexpr bool kIsFloating = std::is_floating_point_v<T> || std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;

template <class T>
using compute_t = std::conditional_t<std::is_same_v<T, double>, double, std::conditional_t<kIsFloating<T>, float, int64_t>>;

template <class T>
GRADUS_HOST_DEVICE compute_t<T> widen(T x) {
  if constexpr (std::is_same_v<T, Bool>) return x.value;
  else if constexpr (kIsFloating<T>) return to_float(x);
  else return x;
}

// A double as a float that tells on which side of a tie the double lies: toward zero, the last bit set where that is not exact.
// Rounded on to 16 bits it gives what the double itself would.
// Source: Boldo, Melquiond, "When double rounding is odd", 2005.
GRADUS_HOST_DEVICE float round_to_odd(double x) {
  auto y = float(x);
  if (double(y) == x || x != x) return y;
  uint32_t bits;
  memcpy(&bits, &y, 4);
  if (fabs(double(y)) > fabs(x)) bits--;
  bits |= 1;
  memcpy(&y, &bits, 4);
  return y;
}

template <class I>
constexpr I kLeast = std::numeric_limits<I>::min();
template <class I>
constexpr I kMost = std::numeric_limits<I>::max();

template <class I, class F>
GRADUS_HOST_DEVICE I saturate(F x) {
  constexpr F kEnd = F(kMost<I> / 2 + 1) * 2;  // the first number too large, a power of two
  if (!(x > F(kLeast<I>))) return x == x ? kLeast<I> : I(0);
  return x < kEnd ? I(x) : kMost<I>;
}

template <class D, class S>
GRADUS_HOST_DEVICE D convert(S x) {
  constexpr bool kNarrowFloat = kIsFloating<D> && sizeof(D) == 2;
  if constexpr (!std::is_arithmetic_v<S>) {
    return convert<D>(widen(x));
  } else if constexpr (std::is_same_v<D, Bool>) {
    return {uint8_t(x != 0)};
  } else if constexpr (std::is_same_v<D, S>) {
    return x;
  } else if constexpr (kNarrowFloat && (std::is_same_v<S, float> || sizeof(S) == 1)) {
    return from_float<D>(float(x));
  } else if constexpr (kNarrowFloat && std::is_same_v<S, int64_t>) {
    // Beyond 2^53 the low bits are folded into one, which keeps the step to double exact.
    constexpr int64_t kExact = int64_t(1) << 53;
    int64_t folded = -kExact <= x && x <= kExact ? x : (x & ~0x7FFll) | ((x & 0x7FF) != 0 ? 0x800 : 0);
    return from_float<D>(round_to_odd(double(folded)));
  } else if constexpr (kNarrowFloat) {
    return from_float<D>(round_to_odd(double(x)));
  } else if constexpr (std::is_floating_point_v<S> && std::is_integral_v<D>) {
    return saturate<D>(x);
  } else {
    return D(x);
  }
}

}  // namespace gradus
