// The functions of the element-wise operations on vectors of floats. Their names and order, and what they do with double and with
// integers, stand in kernels/elementwise_functions.h, which plain C++ can use as well.
#pragma once

#include "cpu/simd_math.h"
#include "kernels/elementwise_functions.h"

namespace gradus::cpu {

GRADUS_INLINE Floats on_floats(Neg, Floats x) { return -x; }
GRADUS_INLINE Floats on_floats(Abs, Floats x) { return abs(x); }
GRADUS_INLINE Floats on_floats(Sign, Floats x) {
  return select(x > 0.0f, broadcast(1.0f), select(x < 0.0f, broadcast(-1.0f), x));
}
GRADUS_INLINE Floats on_floats(Exp, Floats x) { return exp(x); }
GRADUS_INLINE Floats on_floats(Expm1, Floats x) { return expm1(x); }
GRADUS_INLINE Floats on_floats(Log, Floats x) { return log(x); }
GRADUS_INLINE Floats on_floats(Log1p, Floats x) { return log1p(x); }
GRADUS_INLINE Floats on_floats(Sqrt, Floats x) { return sqrt(x); }
GRADUS_INLINE Floats on_floats(Rsqrt, Floats x) { return 1.0f / sqrt(x); }
GRADUS_INLINE Floats on_floats(Reciprocal, Floats x) { return 1.0f / x; }
GRADUS_INLINE Floats on_floats(Sin, Floats x) { return sin(x); }
GRADUS_INLINE Floats on_floats(Cos, Floats x) { return cos(x); }
GRADUS_INLINE Floats on_floats(Erf, Floats x) { return erf(x); }
GRADUS_INLINE Floats on_floats(Sigmoid, Floats x) { return sigmoid(x); }
GRADUS_INLINE Floats on_floats(Tanh, Floats x) { return tanh(x); }
GRADUS_INLINE Floats on_floats(Relu, Floats x) { return select(x <= 0.0f, Floats{}, x); }
GRADUS_INLINE Floats on_floats(Gelu, Floats x) { return gelu(x); }
GRADUS_INLINE Floats on_floats(GeluTanh, Floats x) { return gelu_tanh(x); }
GRADUS_INLINE Floats on_floats(Silu, Floats x) { return x * sigmoid(x); }
GRADUS_INLINE Floats on_floats(Softplus, Floats x) { return softplus(x); }
GRADUS_INLINE Floats on_floats(Floor, Floats x) { return floor(x); }
GRADUS_INLINE Floats on_floats(Ceil, Floats x) { return ceil(x); }
GRADUS_INLINE Floats on_floats(Round, Floats x) { return round_to_even(x); }
GRADUS_INLINE Floats on_floats(Step, Floats x) { return select(x <= 0.0f, Floats{}, broadcast(1.0f)); }

GRADUS_INLINE Floats on_floats(Add, Floats a, Floats b) { return a + b; }
GRADUS_INLINE Floats on_floats(Sub, Floats a, Floats b) { return a - b; }
GRADUS_INLINE Floats on_floats(Mul, Floats a, Floats b) { return a * b; }
GRADUS_INLINE Floats on_floats(Div, Floats a, Floats b) { return a / b; }
GRADUS_INLINE Floats on_floats(Pow, Floats a, Floats b) { return pow(a, b); }
// Equal numbers differ in the sign of zero at most: and keeps +0, or keeps -0.
GRADUS_INLINE Floats on_floats(Max, Floats a, Floats b) {
  Floats equal = as_floats(as_ints(a) & as_ints(b));
  return select(a == b, equal, select((a > b) | (a != a), a, b));
}
GRADUS_INLINE Floats on_floats(Min, Floats a, Floats b) {
  Floats equal = as_floats(as_ints(a) | as_ints(b));
  return select(a == b, equal, select((a < b) | (a != a), a, b));
}
GRADUS_INLINE Floats on_floats(Gate, Floats a, Floats b) { return select(b <= 0.0f, Floats{}, a); }

// Functions that cost more than the memory that they read.
template <class F>
constexpr bool kIsCheap = true;
template <>
inline constexpr bool kIsCheap<Exp> = false;
template <>
inline constexpr bool kIsCheap<Expm1> = false;
template <>
inline constexpr bool kIsCheap<Log> = false;
template <>
inline constexpr bool kIsCheap<Log1p> = false;
template <>
inline constexpr bool kIsCheap<Sin> = false;
template <>
inline constexpr bool kIsCheap<Cos> = false;
template <>
inline constexpr bool kIsCheap<Erf> = false;
template <>
inline constexpr bool kIsCheap<Sigmoid> = false;
template <>
inline constexpr bool kIsCheap<Tanh> = false;
template <>
inline constexpr bool kIsCheap<Gelu> = false;
template <>
inline constexpr bool kIsCheap<GeluTanh> = false;
template <>
inline constexpr bool kIsCheap<Silu> = false;
template <>
inline constexpr bool kIsCheap<Softplus> = false;
template <>
inline constexpr bool kIsCheap<Pow> = false;

}  // namespace gradus::cpu
