// Pooling, backward. Every input pixel collects from the windows that hold it: nothing is added from two sides, every sum has the
// order of outputs, and memory is written once.
#include "cpu/pool_windows.h"

namespace gradus::cpu {
namespace {

struct BackwardColumns;
struct WindowShares;

// Calls f(input pixel within its image, its first element, windows' rows, windows' columns, the image's first output pixel). f and
// the shape are copied to where no store can change them.
template <class F>
void for_pixels(const gr_pool_shape& shape, const F& function) {
  const gr_pool_shape s = shape;
  const PoolAxis rows = rows_of(s), columns = columns_of(s);
  const Span* holders_of_columns = spans<BackwardColumns>(s.w, [&](int64_t j) { return columns.holders(j); });
  const int64_t overlaps = divide_up(s.kh * s.kw * s.oh * s.ow, s.h * s.w);
  parallel_for(s.n * s.h, pool_grain(s.w * s.c * (1 + overlaps)), [=](int64_t begin, int64_t end) {
    const F f = function;
    for (int64_t r = begin; r < end; r++) {
      const int64_t row = r % s.h, outputs = r / s.h * s.oh * s.ow;
      const Span holders = rows.holders(row);
      for (int64_t j = 0; j < s.w; j++) f(int32_t(row * s.w + j), (r * s.w + j) * s.c, holders, holders_of_columns[j], outputs);
    }
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;
using namespace gradus::cpu;

extern "C" int gr_max_pool2d_backward(int64_t grad_y, int64_t index, int64_t grad_x, int64_t shape, int32_t dtype, int64_t) {
  const gr_pool_shape s = *pointer<const gr_pool_shape>(shape);
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    constexpr int L = lanes_of<A>;
    if (s.n * s.h * s.w * s.c == 0) return int(GR_OK);
    if (!is_served(s)) return int(GR_UNSUPPORTED);
    const auto* gradient = pointer<const T>(grad_y);
    const auto* places = pointer<const int32_t>(index);
    auto* out = pointer<T>(grad_x);
    for_pixels(s, [=](int32_t own, int64_t to, Span rows, Span columns, int64_t outputs) {
      for_channels<A>(s.c, [&](auto vectors, int64_t channel, auto lanes) {
        constexpr int N = decltype(vectors)::value;
        Vec<A> sum[N] = {};
        for (int32_t i = rows.first; i < rows.last; i++) {
          for (int32_t j = columns.first; j < columns.last; j++) {
            const int64_t from = (outputs + i * s.ow + j) * s.c + channel;
            for (int v = 0; v < N; v++) {
              auto here = load_positions<A>(places + from + v * L, lanes) == own;
              sum[v] += select(here, load_wide_some(gradient + from + v * L, lanes), Vec<A>{});
            }
          }
        }
        for (int v = 0; v < N; v++) store_wide_some(out + to + channel + v * L, sum[v], lanes);
      });
    });
    return int(GR_OK);
  });
}

extern "C" int gr_avg_pool2d_backward(int64_t grad_y, int64_t grad_x, int64_t shape, int32_t count_padding, int32_t dtype,
                                      int64_t) {
  const gr_pool_shape s = *pointer<const gr_pool_shape>(shape);
  const bool whole = count_padding != 0 && s.stride_h != 0;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    constexpr int L = lanes_of<A>;
    if (s.n * s.h * s.w * s.c == 0) return int(GR_OK);
    if (!is_served(s)) return int(GR_UNSUPPORTED);
    const PoolAxis down = rows_of(s), across = columns_of(s);
    A* shares = workspace<WindowShares, A>(s.oh * s.ow);
    for (int64_t i = 0; i < s.oh; i++) {
      const int64_t tall = down.window(i).length();
      for (int64_t j = 0; j < s.ow; j++) {
        shares[i * s.ow + j] = A(1) / A(whole ? s.kh * s.kw : tall * across.window(j).length());
      }
    }
    const auto* gradient = pointer<const T>(grad_y);
    auto* out = pointer<T>(grad_x);
    for_pixels(s, [=](int32_t, int64_t to, Span rows, Span columns, int64_t outputs) {
      for_channels<A>(s.c, [&](auto vectors, int64_t channel, auto lanes) {
        constexpr int N = decltype(vectors)::value;
        Vec<A> sum[N] = {};
        for (int32_t i = rows.first; i < rows.last; i++) {
          for (int32_t j = columns.first; j < columns.last; j++) {
            const A share = shares[i * s.ow + j];
            const int64_t from = (outputs + i * s.ow + j) * s.c + channel;
            for (int v = 0; v < N; v++) sum[v] += load_wide_some(gradient + from + v * L, lanes) * share;
          }
        }
        for (int v = 0; v < N; v++) store_wide_some(out + to + channel + v * L, sum[v], lanes);
      });
    });
    return int(GR_OK);
  });
}
