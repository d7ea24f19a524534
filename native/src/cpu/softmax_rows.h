// What softmax and cross-entropy do along a row: in vectors of floats where that is what the type is computed in, else one by one.
#pragma once

#include "cpu/element_loops.h"
#include "cpu/simd_math.h"

namespace gradus::cpu {

// Elements worth a chunk, each with an exponential.
constexpr int64_t kExponentials = 1 << 13;
inline int64_t rows_worth_a_chunk(int64_t n) { return std::max<int64_t>(1, kExponentials / std::max<int64_t>(1, n)); }

// Lanes from `lanes` on become `fill`.
GRADUS_INLINE Floats fill_rest(Floats x, int lanes, float fill) {
  return lanes == kLanes ? x : select(lane_numbers() < lanes, x, broadcast(fill));
}

// The largest of a row, passing over NaN, which sums find later.
template <class T>
accumulator_t<T> row_max(const T* x, int64_t n) {
  accumulator_t<T> top = -INFINITY;
  if constexpr (kInFloats<T>) {
    Floats a = broadcast(-INFINITY), b = a;
    int64_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
      a = max(load_floats(x + i), a);
      b = max(load_floats(x + i + kLanes), b);
    }
    for (; i < n; i += kLanes) {
      int lanes = lanes_left(n - i);
      a = max(fill_rest(load_floats_some(x + i, lanes), lanes, -INFINITY), a);
    }
    a = max(a, b);
    for (int lane = 0; lane < kLanes; lane++) top = std::max(top, a[lane]);
  } else {
    for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
  }
  return top;
}

// The sum of vectors f(i, lanes) along a row, whose lanes beyond `lanes` are 0; in pieces, so that errors do not grow with it.
template <class F>
GRADUS_INLINE float sum_along(int64_t n, F f) {
  constexpr int64_t kPiece = 128 * kLanes;
  Floats total = {};
  for (int64_t i = 0; i < n;) {
    int64_t end = n - i < kPiece ? n : i + kPiece;
    Floats a = {}, b = {};
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) {
      a += f(i, kLanes);
      b += f(i + kLanes, kLanes);
    }
    for (; i < end; i += kLanes) a += f(i, lanes_left(end - i));
    total += a + b;
  }
  return sum(total);
}

// What is subtracted before exponentials are taken: the maximum, but 0 where all are minus infinity, which would give NaN.
template <class A>
A softmax_shift(A top) {
  return top == -INFINITY ? A(0) : top;
}

// The sum of exp(x - shift) along a row; the exponentials go to e, which may be x, unless it is null.
template <bool Keep, class T>
accumulator_t<T> sum_of_exponentials(const T* x, int64_t n, accumulator_t<T> shift, accumulator_t<T>* e) {
  if constexpr (kInFloats<T>) {
    return sum_along(n, [&](int64_t i, int lanes) {
      Floats u = exp(fill_rest(load_floats_some(x + i, lanes) - shift, lanes, -INFINITY));
      if constexpr (Keep) store_some(e + i, u, lanes);
      return u;
    });
  } else {
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
      double u = std::exp(x[i] - shift);
      if constexpr (Keep) e[i] = u;
      total += u;
    }
    return total;
  }
}

// y[i] = f(vector of elements from i on, lanes), f taking floats, or doubles one by one.
template <class T, class F>
GRADUS_INLINE void write_row(T* y, int64_t n, F f) {
  if constexpr (kInFloats<T>) {
    for (int64_t i = 0; i < n; i += kLanes) {
      int lanes = lanes_left(n - i);
      store_floats_some(y + i, f(i, lanes), lanes);
    }
  } else {
    for (int64_t i = 0; i < n; i++) y[i] = f(i, 1);
  }
}
// A vector of floats, or one double.
template <class T>
GRADUS_INLINE auto load_lanes(const T* x, int lanes) {
  if constexpr (kInFloats<T>) return load_floats_some(x, lanes);
  else return *x;
}
template <class V>
GRADUS_INLINE V exponential(V x) {
  if constexpr (std::is_same_v<V, double>) return std::exp(x);
  else return exp(x);
}

}  // namespace gradus::cpu
