// What the pooling functions share: the windows of rows and columns, and channels a few vectors at a time.
#pragma once

#include <algorithm>

#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/workspace.h"
#include "gradus/pool.h"
#include "plugin/handle.h"
#include "plugin/types.h"

namespace gradus::cpu {

// From `first` to before `last`.
struct Span {
  int32_t first, last;
  int64_t length() const { return last - first; }
};

// The windows along one axis; stride 0: adaptive.
struct PoolAxis {
  int64_t size, windows, kernel, stride, pad;

  // The positions of a window.
  Span window(int64_t i) const {
    if (stride == 0) return {int32_t(i * size / windows), int32_t(((i + 1) * size + windows - 1) / windows)};
    return {int32_t(std::max<int64_t>(0, i * stride - pad)), int32_t(std::min(size, i * stride - pad + kernel))};
  }
  // The windows that hold a position.
  Span holders(int64_t position) const {
    if (stride == 0) return {int32_t(position * windows / size), int32_t(((position + 1) * windows + size - 1) / size)};
    int64_t before = position + pad - kernel;  // a window that starts here ends too early
    return {int32_t(before < 0 ? 0 : before / stride + 1), int32_t(std::min(windows, (position + pad) / stride + 1))};
  }
};

inline PoolAxis rows_of(const gr_pool_shape& s) { return {s.h, s.oh, s.kh, s.stride_h, s.pad_h}; }
inline PoolAxis columns_of(const gr_pool_shape& s) { return {s.w, s.ow, s.kw, s.stride_w, s.pad_w}; }

// Positions that an axis must count in 32 bits.
inline bool is_served(const gr_pool_shape& s) { return s.h * s.w < INT32_MAX && s.oh * s.ow < INT32_MAX; }

// One span for each i below n, formed once a call.
template <class Tag, class F>
const Span* spans(int64_t n, F&& f) {
  Span* out = workspace<Tag, Span>(n);
  for (int64_t i = 0; i < n; i++) out[i] = f(i);
  return out;
}

// Calls f(std::integral_constant<int, vectors>, channel, lanes) for the channels of a pixel, up to 4 vectors at a time; fewer lanes
// than a vector has only for one vector.
template <class A, int Together = 4, class F>
GRADUS_INLINE void for_channels(int64_t channels, F&& f, int64_t k = 0) {
  constexpr int L = lanes_of<A>;
  for (; k + Together * L <= channels; k += Together * L) {
    f(std::integral_constant<int, Together>{}, k, std::integral_constant<int, L>{});
  }
  if constexpr (Together > 1) {
    if (k < channels) for_channels<A, Together / 2>(channels, f, k);
  } else if (k < channels) {
    f(std::integral_constant<int, 1>{}, k, int(channels - k));
  }
}

// Rows of a chunk where one costs so many vector operations' worth of elements.
inline int64_t pool_grain(int64_t cost_of_row) { return divide_up(1 << 15, std::max<int64_t>(1, cost_of_row)); }

// Integers as wide as A, that comparisons of A give.
template <class A>
using IntsFor = decltype(Vec<A>{} > Vec<A>{});

template <class A>
GRADUS_INLINE IntsFor<A> load_positions(const int32_t* p, int lanes) {
  if constexpr (sizeof(A) == 4) {
    // Lanes are bits to a masked load, whatever their type.
    return IntsFor<A>(as_ints(load_some(reinterpret_cast<const float*>(p), lanes)));
  } else {
    IntsFor<A> out{};
    for (int i = 0; i < lanes; i++) out[i] = p[i];
    return out;
  }
}
template <class A>
GRADUS_INLINE void store_positions(int32_t* p, IntsFor<A> at, int lanes) {
  if constexpr (sizeof(A) == 4) {
    store_some(reinterpret_cast<float*>(p), as_floats(Ints(at)), lanes);
  } else {
    for (int i = 0; i < lanes; i++) p[i] = int32_t(at[i]);
  }
}

}  // namespace gradus::cpu
