// What reductions compute in: float32 for floats of at most four bytes, float64, and 64-bit integers that wrap around; one value
// or a vector of them.
#pragma once

#include <limits>

#include "cpu/element_loops.h"
#include "cpu/simd.h"

namespace gradus::cpu {

template <class T>
using state_t = std::conditional_t<kInFloats<T>, float, std::conditional_t<kIsFloating<T>, double, int64_t>>;

template <class T>
GRADUS_INLINE state_t<T> to_state(T x) {
  if constexpr (kIsFloating<T>) return to_float(x);
  else return int64_t(x);
}
// Integers keep their low bits.
template <class T>
GRADUS_INLINE T from_state(state_t<T> x) {
  if constexpr (kIsFloating<T>) return from_accumulator<T>(x);
  else return T(x);
}

template <class T>
GRADUS_INLINE Vec<state_t<T>> load_states(const T* p) {
  using S = state_t<T>;
  if constexpr (kInFloats<T>) {
    return load_floats(p);
  } else if constexpr (std::is_same_v<T, S>) {
    return load(p);
  } else {
    constexpr int kBytes = lanes_of<S> * int(sizeof(T));
    typedef T Narrow __attribute__((vector_size(kBytes)));
    Narrow narrow;
    memcpy(&narrow, p, sizeof narrow);
    return __builtin_convertvector(narrow, Vec<S>);
  }
}

// The ordinals of io.gradus.backend.ReduceOp.
enum class ReduceOp { sum, max, min, prod };

template <class V>
GRADUS_INLINE V wrapping_plus(V a, V b) {
  if constexpr (std::is_same_v<V, int64_t>) return int64_t(uint64_t(a) + uint64_t(b));
  else if constexpr (std::is_same_v<V, Vec<int64_t>>) return V(Vec<uint64_t>(a) + Vec<uint64_t>(b));
  else return a + b;
}
template <class V>
GRADUS_INLINE V wrapping_times(V a, V b) {
  if constexpr (std::is_same_v<V, int64_t>) return int64_t(uint64_t(a) * uint64_t(b));
  else if constexpr (std::is_same_v<V, Vec<int64_t>>) return V(Vec<uint64_t>(a) * Vec<uint64_t>(b));
  else return a * b;
}

// The least or greatest value of a type.
template <class T>
state_t<T> extreme(bool greatest) {
  if constexpr (kIsFloating<T>) return greatest ? INFINITY : -INFINITY;
  else return greatest ? std::numeric_limits<T>::max() : std::numeric_limits<T>::min();
}

template <class T, ReduceOp op>
struct Reduction {
  using State = state_t<T>;

  static State neutral() {
    if constexpr (op == ReduceOp::sum) return 0;
    else if constexpr (op == ReduceOp::prod) return 1;
    else return extreme<T>(op == ReduceOp::min);
  }
  // Of states or vectors. A NaN stays.
  template <class V>
  GRADUS_INLINE static V combine(V a, V b) {
    if constexpr (op == ReduceOp::sum) return wrapping_plus(a, b);
    else if constexpr (op == ReduceOp::prod) return wrapping_times(a, b);
    else if constexpr (op == ReduceOp::max) return (a > b) | (a != a) ? a : b;
    else return (a < b) | (a != a) ? a : b;
  }
  GRADUS_INLINE static State fold(Vec<State> v) {
    constexpr int kCount = lanes_of<State>;
    State part[kCount];
    store(part, v);
    for (int width = kCount / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; i++) part[i] = combine(part[i], part[i + width]);
    }
    return part[0];
  }
};

}  // namespace gradus::cpu
