// Elementary functions of a vector of floats, without branches but for huge angles. Errors against the exact value, over all
// exponents, with and without fused multiply-add (measured by the tests): exp, log, tanh at most 2 ulp, the others at most 4 (gelu:
// 8 where it is subnormal; gelu_tanh: see there). Infinities, NaN and signed zeros as in <cmath>; subnormal numbers are neither
// read nor given as 0.
//
// Source of the polynomials of exp, log, tanh, sin and cos: Moshier, Cephes Mathematical Library 2.2, single precision; of erf:
// Juffa, "A fast and accurate implementation of erff()", 2013-2020.
#pragma once

#include "cpu/simd.h"

namespace gradus::cpu {

// Horner's rule, the highest coefficient first.
template <class V>
GRADUS_INLINE V polynomial(V, V sum) {
  return sum;
}
template <class V, class... C>
GRADUS_INLINE V polynomial(V x, V sum, double next, C... rest) {
  using S = std::remove_reference_t<decltype(x[0])>;
  return polynomial(x, fma(sum, x, broadcast(S(next))), rest...);
}

// Bits are counted with as unsigned numbers, which wrap around where a NaN's are.
using Bits = Vec<uint32_t>;
GRADUS_INLINE Bits bits_of(Floats x) { return reinterpret_cast<Bits>(x); }
GRADUS_INLINE Floats from_bits(Bits x) { return reinterpret_cast<Floats>(x); }
// 2^n, for n from -126 to 127.
GRADUS_INLINE Floats power_of_two(Ints n) { return from_bits((Bits(n) + 127u) << 23); }

GRADUS_INLINE Floats copy_sign(Floats magnitude, Floats sign) {
  return as_floats((as_ints(magnitude) & 0x7FFFFFFF) | (as_ints(sign) & INT32_MIN));
}

// To the nearest whole number, ties to even, for |x| < 2^22: what is added leaves no bits behind the point. `whole` receives it.
GRADUS_INLINE Floats round_small(Floats x, Ints& whole) {
  constexpr float kShift = 0x1.8p23f;
  Floats shifted = x + kShift;
  whole = Ints(bits_of(shifted) - bits_of(broadcast(kShift)));
  return shifted - kShift;
}

// x times 2^n, rounded once, for |n| <= 252: in two steps, since 2^n may have no exponent.
GRADUS_INLINE Floats scale_by_power(Floats x, Ints n) {
  Ints half = n >> 1;
  return x * power_of_two(half) * power_of_two(Ints(Bits(n) - Bits(half)));
}

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2High = 0.693359375f;  // few bits, so that whole multiples are exact
constexpr float kLn2Low = -2.12194440e-4f;

// e^r - 1 - r for |r| <= ln(2) / 2, divided by r^2.
GRADUS_INLINE Floats exp_tail(Floats r) {
  return polynomial(r, broadcast(1.9875691500e-4f), 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
                    5.0000001201e-1);
}

// e^(x + low), low being a small rest.
GRADUS_INLINE Floats exp_of_sum(Floats x, Floats low) {
  x = min(broadcast(89.0f), max(broadcast(-104.0f), x));  // beyond lie infinity and 0; a NaN stays
  Ints n;
  Floats whole = round_small(x * kLog2E, n);
  Floats r = fma(whole, broadcast(-kLn2Low), fma(whole, broadcast(-kLn2High), x)) + low;
  return scale_by_power(fma(exp_tail(r), r * r, r) + 1.0f, n);
}
GRADUS_INLINE Floats exp(Floats x) { return exp_of_sum(x, Floats{}); }

GRADUS_INLINE Floats expm1(Floats x) {
  Floats y = min(broadcast(89.0f), max(broadcast(-20.0f), x));
  Ints n;
  Floats whole = round_small(y * kLog2E, n);
  Floats r = fma(whole, broadcast(-kLn2Low), fma(whole, broadcast(-kLn2High), y));
  Floats half_scale = power_of_two(Ints(Bits(n) - 1u));  // 2^128 has no exponent
  Floats e = fma(half_scale, fma(exp_tail(r), r * r, r), half_scale - 0.5f) * 2.0f;
  return select(abs(x) < 0x1p-25f, x, e);
}

// log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)], plus k log(2).
GRADUS_INLINE Floats log_from(Floats f, Floats k) {
  Floats z = f * f;
  Floats tail = polynomial(f, broadcast(7.0376836292e-2f), -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                           -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1);
  Floats y = fma(k, broadcast(kLn2Low), tail * f * z);
  return fma(k, broadcast(kLn2High), f + fma(z, broadcast(-0.5f), y));
}

// A positive normal number as (1 + f) 2^k for log_from.
GRADUS_INLINE void split_power(Floats x, Floats& f, Ints& k) {
  constexpr uint32_t kRootHalf = 0x3F3504F3;
  Bits bits = bits_of(x);
  k = Ints(bits - kRootHalf) >> 23;
  f = from_bits(bits - (Bits(k) << 23)) - 1.0f;
}

GRADUS_INLINE Floats log(Floats x) {
  auto tiny = x < 0x1p-126f;
  Floats f;
  Ints k;
  split_power(select(tiny, x * 0x1p24f, x), f, k);
  Floats y = log_from(f, to_floats(k - (Ints(tiny) & 24)));
  y = select(x < as_floats(broadcast(0x7F800000)), y, x);  // infinity and NaN
  y = select(x < 0.0f, broadcast(NAN), y);
  return select(x == 0.0f, broadcast(-INFINITY), y);
}

// With what is lost where 1 + x is rounded.
// Source: Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 1.14.1, in the form of FreeBSD's s_log1p.c.
GRADUS_INLINE Floats log1p(Floats x) {
  Floats u = x + 1.0f;
  Floats lost = select(x < 1.0f, x - (u - 1.0f), 1.0f - (u - x));
  Floats y = log(u) + lost / u;
  Floats infinite = as_floats(broadcast(0x7F800000));
  auto plain = (abs(x) >= 0x1p-24f) & (x > -1.0f) & (x < infinite);
  return select(plain, y, select(abs(x) < 0x1p-24f, x, log(u)));
}

GRADUS_INLINE Floats tanh(Floats x) {
  Floats a = abs(x), z = x * x;
  Floats tail = polynomial(z, broadcast(-5.70498872745e-3f), 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
                           -3.33332819422e-1);
  Floats small = fma(tail * z, x, x);
  Floats large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
  return select(a < 0.625f, small, copy_sign(large, x));
}

// 1 / (1 + e^-x), relatively exact on both sides.
GRADUS_INLINE Floats sigmoid(Floats x) {
  Floats e = exp(-abs(x));
  return select(x < 0.0f, e, broadcast(1.0f)) / (e + 1.0f);
}

// log(1 + e) for e on [0, 1] needs no correction: either e itself or half its distance to 1 is what log_from takes.
GRADUS_INLINE Floats softplus(Floats x) {
  Floats e = exp(-abs(x));
  auto upper = e > 0.41421356f;
  Floats y = log_from(select(upper, (e - 1.0f) * 0.5f, e), select(upper, broadcast(1.0f), Floats{}));
  return select(x <= 0.0f, Floats{}, x) + y;
}

GRADUS_INLINE Floats erf(Floats x) {
  Floats a = abs(x), s = x * x;
  Floats small = polynomial(s, broadcast(-5.96761703e-4f), 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1,
                            1.28379166e-1);
  small = fma(small, x, x);
  a = min(broadcast(4.0f), a);  // erf is 1 from there on
  s = a * a;
  Floats high = fma(broadcast(-1.72853470e-5f), a, broadcast(3.83197126e-4f));
  Floats low = fma(broadcast(-3.88396438e-3f), a, broadcast(2.42546219e-2f));
  Floats exponent = polynomial(a, fma(high, s, low), -1.06777877e-1, -6.34846687e-1, -1.28717512e-1);
  exponent = fma(exponent, a, -a);
  Floats large = copy_sign(1.0f - exp(exponent), x);
  return select(abs(x) <= 0.927734375f, small, select(x == x, large, x));
}

// The normal distribution function of -a, a >= 0: e^(-a^2 / 2) times a function without large slopes, here by a polynomial in
// (a - 5/2) / (a + 5/2) with relative error 1.5e-8. The square is exact in two parts, whose relative error would else grow with it.
GRADUS_INLINE Floats normal_tail(Floats a) {
  a = min(broadcast(16.0f), a);  // the result is 0 from 15 on
  Floats t = 1.0f / (a + 2.5f);
  Floats q = fma(t, broadcast(-5.0f), broadcast(1.0f));
  Floats p = polynomial(q, broadcast(-0.0001573617191752419f), -0.0003110307443421334, 0.0006843581795692444,
                        0.002523435279726982, -0.0016009319806471467, -0.016386056318879128, 0.009235906414687634,
                        0.13198697566986084, -0.43369200825691223, 0.7066566348075867);
  Floats top = as_floats(as_ints(a) & ~0xFFF), rest = a - top;
  return exp_of_sum(top * top * -0.5f, rest * (a + top) * -0.5f) * (p * t);
}

GRADUS_INLINE Floats gelu(Floats x) {
  Floats tail = normal_tail(abs(x));
  return x * select(x < 0.0f, tail, 1.0f - tail);
}
// The rounding of the exponent u costs up to 2 |u| ulp where the result goes to 0.
GRADUS_INLINE Floats gelu_tanh(Floats x) {
  constexpr float kRoot = 0.79788456080286535588f;  // of 2 / pi
  Floats u = kRoot * fma(0.044715f * x * x, x, x);
  return x * sigmoid(u + u);
}

// Sine and cosine of r plus a quarter turn `quarters` times, |r| <= pi / 4.
GRADUS_INLINE void sincos_from(Floats r, Ints quarters, Floats& sine, Floats& cosine) {
  Floats z = r * r;
  Floats s = fma(polynomial(z, broadcast(-1.9515295891e-4f), 8.3321608736e-3, -1.6666654611e-1) * z, r, r);
  Floats c = fma(polynomial(z, broadcast(2.443315711809948e-5f), -1.388731625493765e-3, 4.166664568298827e-2), z * z,
                 fma(z, broadcast(-0.5f), broadcast(1.0f)));
  auto odd = (quarters & 1) != 0;
  Bits turns = Bits(quarters);
  sine = from_bits(bits_of(select(odd, c, s)) ^ ((turns & 2u) << 30));
  cosine = from_bits(bits_of(select(odd, s, c)) ^ (((turns + 1u) & 2u) << 30));
}

// Sine and cosine of pi x, |x| < 2^20.
GRADUS_INLINE void sincospi(Floats x, Floats& sine, Floats& cosine) {
  Ints quarters;
  Floats whole = round_small(x * 2.0f, quarters);
  sincos_from((x - whole * 0.5f) * 3.14159265358979323846f, quarters, sine, cosine);
}

namespace detail {

constexpr int kHalf = kLanes / 2;
typedef float HalfFloats __attribute__((vector_size(kVectorBytes / 2)));
typedef int32_t HalfInts __attribute__((vector_size(kVectorBytes / 2)));

// Calls f(part as doubles, its number) for both halves.
template <class F>
GRADUS_INLINE void for_halves(Floats x, F f) {
  for (int part = 0; part < 2; part++) {
    HalfFloats half;
    memcpy(&half, reinterpret_cast<const char*>(&x) + part * sizeof half, sizeof half);
    f(__builtin_convertvector(half, Doubles), part);
  }
}
template <class V, class Half>
GRADUS_INLINE void set_half(V& whole, int part, Half half) {
  memcpy(reinterpret_cast<char*>(&whole) + part * sizeof half, &half, sizeof half);
}

template <bool Cosine>
GRADUS_INLINE Floats sine_or_cosine(Floats x) {
  constexpr float kLargest = 0x1p19f;
  Floats inside = select(abs(x) <= kLargest, x, Floats{});
  Floats r;
  Ints quarters;
  // In double precision: near a multiple of pi little is left.
  for_halves(inside, [&](Doubles v, int part) {
    constexpr double kShift = 0x1.8p52;
    Doubles shifted = v * 0.63661977236758134308 + kShift, whole = shifted - kShift;
    Doubles rest = fma(whole, broadcast(-6.07710050650619224932e-11), fma(whole, broadcast(-1.57079632673412561417), v));
    set_half(r, part, __builtin_convertvector(rest, HalfFloats));
    set_half(quarters, part, __builtin_convertvector(whole, HalfInts));
  });
  Floats sine, cosine;
  sincos_from(r, quarters, sine, cosine);
  if constexpr (!Cosine) sine = select(x == 0.0f, x, sine);
  Floats y = Cosine ? cosine : sine;
  if (bits_of_mask(Ints(abs(x) <= kLargest)) != (kLanes == 32 ? ~0u : (1u << kLanes) - 1)) {
    for (int i = 0; i < kLanes; i++) {
      if (!(std::fabs(x[i]) <= kLargest)) y[i] = Cosine ? std::cos(x[i]) : std::sin(x[i]);
    }
  }
  return y;
}

// The base-2 logarithm of (1 + f) 2^k to 2^-39: the series of atanh.
GRADUS_INLINE Doubles log2_from(Doubles f, Doubles k) {
  Doubles s = f / (f + 2.0), z = s * s;
  Doubles series = polynomial(z, broadcast(1.0 / 15), 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0);
  return fma(s * series, broadcast(2.88539008177792681472), k);
}
// 2^x for |x| <= 200, to 2^-35.
GRADUS_INLINE Doubles exp2_of(Doubles x) {
  typedef Vec<uint64_t> Longs;
  constexpr double kShift = 0x1.8p52;
  Doubles shifted = x + kShift, r = (x - (shifted - kShift)) * 0.69314718055994530942;
  Longs n = reinterpret_cast<Longs>(shifted) - reinterpret_cast<Longs>(broadcast(kShift));
  Doubles p = polynomial(r, broadcast(1.0 / 3628800), 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24,
                         1.0 / 6, 0.5, 1.0, 1.0);
  return p * reinterpret_cast<Doubles>((n + 1023u) << 52);
}

}  // namespace detail

GRADUS_INLINE Floats sin(Floats x) { return detail::sine_or_cosine<false>(x); }
GRADUS_INLINE Floats cos(Floats x) { return detail::sine_or_cosine<true>(x); }

// a^b as in Java: NaN where b is, and for +-1 to an infinite power. Through double precision.
GRADUS_INLINE Floats pow(Floats a, Floats b) {
  Floats magnitude = abs(a), infinite = as_floats(broadcast(0x7F800000));
  auto plain = (magnitude >= 0x1p-126f) & (magnitude < infinite) & (abs(b) < infinite);
  Floats base = select(plain, magnitude, broadcast(1.0f)), y;
  Floats f;
  Ints power;
  split_power(base, f, power);
  Floats k = to_floats(power);
  detail::for_halves(f, [&](Doubles rest, int part) {
    auto half = [&](const Floats& v) {
      detail::HalfFloats values;
      memcpy(&values, reinterpret_cast<const char*>(&v) + part * sizeof values, sizeof values);
      return __builtin_convertvector(values, Doubles);
    };
    Doubles product = detail::log2_from(rest, half(k)) * half(b);
    product = min(broadcast(200.0), max(broadcast(-200.0), product));
    detail::set_half(y, part, __builtin_convertvector(detail::exp2_of(product), detail::HalfFloats));
  });
  // Powers of negative numbers: whole ones alone; from 2^24 on all are even.
  Floats size = abs(b);
  Ints whole = to_ints(select(size < 0x1p24f, size, Floats{}));
  auto is_whole = (size >= 0x1p24f) | (to_floats(whole) == size);
  y = from_bits(bits_of(y) | (Bits(a < 0.0f) & (Bits(whole) << 31)));
  y = select((a < 0.0f) & ~is_whole, broadcast(NAN), y);
  if (bits_of_mask(Ints(plain)) != (1u << kLanes) - 1) {
    for (int i = 0; i < kLanes; i++) {
      if (plain[i] != 0) continue;
      bool undefined = b[i] != b[i] || (std::fabs(a[i]) == 1 && std::fabs(b[i]) == INFINITY);
      y[i] = undefined ? NAN : std::pow(a[i], b[i]);
    }
  }
  return y;
}

GRADUS_INLINE Floats floor(Floats x) {
#if defined(__AVX512F__) && !defined(GRADUS_VECTOR_BYTES)
  return Floats(_mm512_roundscale_ps(__m512(x), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
#elif defined(__AVX2__) && !defined(GRADUS_VECTOR_BYTES)
  return Floats(_mm256_floor_ps(__m256(x)));
#else
  // From 2^23 on all numbers are whole; the sign is kept for zeros.
  Floats whole = to_floats(to_ints(select(abs(x) < 0x1p23f, x, Floats{})));
  whole = copy_sign(whole - select(whole > x, broadcast(1.0f), Floats{}), x);
  return select(abs(x) < 0x1p23f, whole, x);
#endif
}
GRADUS_INLINE Floats ceil(Floats x) { return -floor(-x); }
GRADUS_INLINE Floats round_to_even(Floats x) {
  Floats shift = copy_sign(broadcast(0x1p23f), x);
  return select(abs(x) < 0x1p23f, copy_sign((x + shift) - shift, x), x);
}

}  // namespace gradus::cpu
