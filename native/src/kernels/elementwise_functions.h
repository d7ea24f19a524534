// The scalar functions of the element-wise kernels, in the order of UnaryOp, BinaryOp and CompareOp: the place of a function in
// its list is its opcode. A new one is a functor here, at the end of its list.
//
// A functor takes float or double; 16-bit types are computed in float. Where on_integers is set it takes int64_t too: integers
// are computed in 64 bits and keep the low ones, which is the same as computing in their own width.
#pragma once

#include <cmath>

#include "device/convert.h"
#include "device/math.h"
#include "gradus/abi.h"

namespace gradus {

struct OnAll {
  static constexpr bool on_integers = true;
};
struct OnFloats {
  static constexpr bool on_integers = false;
};

template <class... Fs>
struct Functions {};

// Integers wrap around, which in C++ only unsigned ones do.
GRADUS_DEVICE int64_t wrap_negate(int64_t x) { return int64_t(0 - uint64_t(x)); }

// -0 is below +0; NaN when either is NaN, which fmax and fmin would drop.
template <class C>
GRADUS_DEVICE C larger_or_nan(C a, C b) {
  if constexpr (std::is_floating_point_v<C>) {
    if (a != a) return a;
    if (a == b) return std::copysign(C(1), a) > 0 ? a : b;
    return a > b ? a : b;
  } else {
    return a > b ? a : b;
  }
}
template <class C>
GRADUS_DEVICE C smaller_or_nan(C a, C b) {
  if constexpr (std::is_floating_point_v<C>) {
    if (a != a) return a;
    if (a == b) return std::copysign(C(1), a) < 0 ? a : b;
    return a < b ? a : b;
  } else {
    return a < b ? a : b;
  }
}

// 1 / (1 + e^-x) without overflow.
template <class C>
GRADUS_DEVICE C logistic(C x) {
  C e = std::exp(x < 0 ? x : -x);
  return (x < 0 ? e : C(1)) / (C(1) + e);
}

struct Neg : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return -x;
  }
  GRADUS_DEVICE int64_t operator()(int64_t x) const { return wrap_negate(x); }
};
struct Abs : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::fabs(x);
  }
  GRADUS_DEVICE int64_t operator()(int64_t x) const { return x < 0 ? wrap_negate(x) : x; }
};
struct Sign : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return x > 0 ? C(1) : x < 0 ? C(-1) : x;
  }
};
struct Exp : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::exp(x);
  }
};
struct Expm1 : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::expm1(x);
  }
};
struct Log : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::log(x);
  }
};
struct Log1p : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::log1p(x);
  }
};
struct Sqrt : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::sqrt(x);
  }
};
struct Rsqrt : OnFloats {
  GRADUS_DEVICE float operator()(float x) const { return rsqrtf(x); }
  GRADUS_DEVICE double operator()(double x) const { return rsqrt(x); }
};
struct Reciprocal : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return C(1) / x;
  }
};
struct Sin : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::sin(x);
  }
};
struct Cos : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::cos(x);
  }
};
struct Erf : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::erf(x);
  }
};
struct Sigmoid : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return logistic(x);
  }
};
struct Tanh : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::tanh(x);
  }
};
struct Relu : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return x <= 0 ? C(0) : x;
  }
};
// erfc and the logistic function keep the relative accuracy of the lower tail, where 1 + erf and 1 + tanh cancel.
struct Gelu : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return C(0.5) * x * std::erfc(x * C(-0.70710678118654752440));
  }
};
struct GeluTanh : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    C u = C(0.79788456080286535588) * (x + C(0.044715) * x * x * x);
    return x * logistic(2 * u);
  }
};
struct Silu : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return x * logistic(x);
  }
};
struct Softplus : OnFloats {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return (x <= 0 ? C(0) : x) + std::log1p(std::exp(-std::fabs(x)));
  }
};
struct Floor : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::floor(x);
  }
  GRADUS_DEVICE int64_t operator()(int64_t x) const { return x; }
};
struct Ceil : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::ceil(x);
  }
  GRADUS_DEVICE int64_t operator()(int64_t x) const { return x; }
};
struct Round : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return std::rint(x);
  }
  GRADUS_DEVICE int64_t operator()(int64_t x) const { return x; }
};
struct Step : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C x) const {
    return x <= 0 ? C(0) : C(1);
  }
};

using UnaryFunctions = Functions<Neg, Abs, Sign, Exp, Expm1, Log, Log1p, Sqrt, Rsqrt, Reciprocal, Sin, Cos, Erf, Sigmoid, Tanh,
                                 Relu, Gelu, GeluTanh, Silu, Softplus, Floor, Ceil, Round, Step>;

struct Add : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    return a + b;
  }
  GRADUS_DEVICE int64_t operator()(int64_t a, int64_t b) const { return int64_t(uint64_t(a) + uint64_t(b)); }
};
struct Sub : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    return a - b;
  }
  GRADUS_DEVICE int64_t operator()(int64_t a, int64_t b) const { return int64_t(uint64_t(a) - uint64_t(b)); }
};
struct Mul : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    return a * b;
  }
  GRADUS_DEVICE int64_t operator()(int64_t a, int64_t b) const { return int64_t(uint64_t(a) * uint64_t(b)); }
};
struct Div : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    return a / b;
  }
  // Toward minus infinity; by 0 gives 0. By -1 apart, since the smallest number has no positive counterpart.
  GRADUS_DEVICE int64_t operator()(int64_t a, int64_t b) const {
    if (b == 0) return 0;
    if (b == -1) return wrap_negate(a);
    int64_t q = a / b;
    return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
  }
};
struct Pow : OnAll {
  // C has 1 to any power, and -1 to an infinite one, as 1; here they are NaN, as in Java.
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    if (b != b || (std::fabs(a) == 1 && std::fabs(b) == C(INFINITY))) return C(NAN);
    return std::pow(a, b);
  }
  // Through double. By squaring where the power may be exact: one unit too little would lose a whole number.
  GRADUS_DEVICE int64_t operator()(int64_t a, int64_t b) const {
    double result = 1, square = double(a);
    for (unsigned n = 0 <= b && b < 64 ? unsigned(b) : 0; n > 0; n >>= 1) {
      if (n & 1) result *= square;
      square *= square;
    }
    bool exact = 0 <= b && b < 64 && std::fabs(result) <= 0x1p53;
    return saturate<int64_t>(exact ? result : std::pow(double(a), double(b)));
  }
};
struct Max : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    return larger_or_nan(a, b);
  }
};
struct Min : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    return smaller_or_nan(a, b);
  }
};

struct Gate : OnAll {
  template <class C>
  GRADUS_DEVICE C operator()(C a, C b) const {
    return b <= C(0) ? C(0) : a;
  }
};

using BinaryFunctions = Functions<Add, Sub, Mul, Div, Pow, Max, Min, Gate>;

struct Equal : OnAll {
  template <class C>
  GRADUS_DEVICE bool operator()(C a, C b) const {
    return a == b;
  }
};
struct NotEqual : OnAll {
  template <class C>
  GRADUS_DEVICE bool operator()(C a, C b) const {
    return a != b;
  }
};
struct Less : OnAll {
  template <class C>
  GRADUS_DEVICE bool operator()(C a, C b) const {
    return a < b;
  }
};
struct LessOrEqual : OnAll {
  template <class C>
  GRADUS_DEVICE bool operator()(C a, C b) const {
    return a <= b;
  }
};
struct Greater : OnAll {
  template <class C>
  GRADUS_DEVICE bool operator()(C a, C b) const {
    return a > b;
  }
};
struct GreaterOrEqual : OnAll {
  template <class C>
  GRADUS_DEVICE bool operator()(C a, C b) const {
    return a >= b;
  }
};

using CompareFunctions = Functions<Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual>;

// How a kernel gets its function: compiled in, which leaves it the registers that this function needs, or by its opcode, which
// is one compilation for all. Both call body with the functor; the branch is the same for a whole grid.
template <class F>
struct Fixed {
  template <class Body>
  GRADUS_DEVICE void operator()(Body body) const {
    body(F{});
  }
};
template <class List>
struct Chosen;
template <class... Fs>
struct Chosen<Functions<Fs...>> {
  int op;

  template <class Body>
  GRADUS_DEVICE void operator()(Body body) const {
    int i = 0;
    (void)((op == i++ && (body(Fs{}), true)) || ...);
  }
};

// Host: calls f(F{}) with the function of an opcode; GR_UNSUPPORTED where there is none.
template <class... Fs, class F>
int with_function(Functions<Fs...>, int op, F f) {
  int status = GR_UNSUPPORTED;
  int i = 0;
  (void)((op == i++ && (status = f(Fs{}), true)) || ...);
  return status;
}

}  // namespace gradus
