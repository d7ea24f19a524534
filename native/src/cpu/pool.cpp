// Pooling, forward. Channels lie along the lanes; a few vectors of them stay in registers while a window is walked over, so that
// memory is read once where windows meet in the cache.
#include "cpu/pool_windows.h"

namespace gradus::cpu {
namespace {

// Walks over the pixels of a window.
template <class T>
struct Window {
  const T* image;  // its first channel
  int64_t width, channels;
  Span rows, columns;

  template <class F>
  GRADUS_INLINE void for_row(int64_t row, F&& f) const {
    const T* x = image + (row * width + columns.first) * channels;
    auto position = int32_t(row * width + columns.first);
    for (int32_t column = columns.first; column < columns.last; column++, x += channels, position++) f(x, position);
  }
};

// The maximum of a window, the first of equals, and where it stands; a NaN counts as the maximum.
template <int N, bool Index, class T>
GRADUS_INLINE void maximum(const Window<T>& window, int64_t channel, int lanes, T* y, int32_t* index) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  using I = IntsFor<A>;
  Vec<A> best[N];
  I at[N];
  for (int v = 0; v < N; v++) {
    best[v] = broadcast(A(-INFINITY));
    at[v] = I{} + int32_t(window.rows.first * window.width + window.columns.first);
  }
  for (int32_t row = window.rows.first; row < window.rows.last; row++) {
    window.for_row(row, [&](const T* x, int32_t position) {
      for (int v = 0; v < N; v++) {
        Vec<A> value = load_wide_some(x + channel + v * L, lanes);
        I better = ~(value <= best[v]) & (best[v] == best[v]);
        best[v] = select(better, value, best[v]);
        if constexpr (Index) at[v] = select(better, I{} + position, at[v]);
      }
    });
  }
  for (int v = 0; v < N; v++) {
    store_wide_some(y + channel + v * L, best[v], lanes);
    if constexpr (Index) store_positions<A>(index + channel + v * L, at[v], lanes);
  }
}

// Sums of rows, and of those.
template <int N, class T>
GRADUS_INLINE void average(const Window<T>& window, int64_t channel, int lanes, T* y, accumulator_t<T> divisor) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  Vec<A> total[N] = {};
  for (int32_t row = window.rows.first; row < window.rows.last; row++) {
    Vec<A> sum[N] = {};
    window.for_row(row, [&](const T* x, int32_t) {
      for (int v = 0; v < N; v++) sum[v] += load_wide_some(x + channel + v * L, lanes);
    });
    for (int v = 0; v < N; v++) total[v] += sum[v];
  }
  for (int v = 0; v < N; v++) store_wide_some(y + channel + v * L, total[v] / divisor, lanes);
}

struct ForwardColumns;

// Calls f(window, output's first element) for every output pixel. f and the shape are copied to where no store can change them.
template <class T, class F>
void for_windows(const gr_pool_shape& shape, const T* x, const F& function) {
  const gr_pool_shape s = shape;
  const PoolAxis rows = rows_of(s), columns = columns_of(s);
  const Span* spans_of_columns = spans<ForwardColumns>(s.ow, [&](int64_t j) { return columns.window(j); });
  parallel_for(s.n * s.oh, pool_grain(s.ow * s.c * s.kh * s.kw), [=](int64_t begin, int64_t end) {
    const F f = function;
    for (int64_t r = begin; r < end; r++) {
      Window<T> window{x + r / s.oh * s.h * s.w * s.c, s.w, s.c, rows.window(r % s.oh), {}};
      for (int64_t j = 0; j < s.ow; j++) {
        window.columns = spans_of_columns[j];
        f(window, (r * s.ow + j) * s.c);
      }
    }
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;
using namespace gradus::cpu;

extern "C" int gr_max_pool2d_forward(int64_t x, int64_t y, int64_t index, int64_t shape, int32_t dtype, int64_t) {
  const gr_pool_shape s = *pointer<const gr_pool_shape>(shape);
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (s.n * s.oh * s.ow * s.c == 0) return int(GR_OK);
    if (!is_served(s)) return int(GR_UNSUPPORTED);
    T* out = pointer<T>(y);
    auto* places = pointer<int32_t>(index);
    for_windows(s, pointer<const T>(x), [=](const Window<T>& window, int64_t to) {
      for_channels<accumulator_t<T>>(s.c, [&](auto vectors, int64_t channel, auto lanes) {
        if (places != nullptr) {
          maximum<vectors, true>(window, channel, lanes, out + to, places + to);
        } else {
          maximum<vectors, false>(window, channel, lanes, out + to, places);
        }
      });
    });
    return int(GR_OK);
  });
}

extern "C" int gr_avg_pool2d_forward(int64_t x, int64_t y, int64_t shape, int32_t count_padding, int32_t dtype, int64_t) {
  const gr_pool_shape s = *pointer<const gr_pool_shape>(shape);
  const bool whole = count_padding != 0 && s.stride_h != 0;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    if (s.n * s.oh * s.ow * s.c == 0) return int(GR_OK);
    if (!is_served(s)) return int(GR_UNSUPPORTED);
    T* out = pointer<T>(y);
    for_windows(s, pointer<const T>(x), [=](const Window<T>& window, int64_t to) {
      const A divisor = A(whole ? s.kh * s.kw : window.rows.length() * window.columns.length());
      for_channels<A>(s.c, [&](auto vectors, int64_t channel, auto lanes) {
        average<vectors>(window, channel, lanes, out + to, divisor);
      });
    });
    return int(GR_OK);
  });
}
