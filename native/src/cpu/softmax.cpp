// Softmax and its logarithm, forward and backward.
//
// Rows: the maximum, the sum of exponentials, which are kept, and the result, each in a pass over a row that stays in the cache.
// Columns go side by side in blocks of some cache lines. float64 goes line by line.
#include "gradus/softmax.h"

#include "cpu/softmax_rows.h"
#include "cpu/workspace.h"

namespace gradus::cpu {
namespace {

template <class T>
void forward_row(const T* x, T* y, int64_t n, bool logarithm) {
  using A = accumulator_t<T>;
  A shift = softmax_shift(row_max(x, n));
  if (logarithm) {
    A sum = sum_of_exponentials<false>(x, n, shift, static_cast<A*>(nullptr)), log_sum = sum == 0 ? A(0) : std::log(sum);
    write_row(y, n, [&](int64_t i, int lanes) { return load_lanes(x + i, lanes) - shift - log_sum; });
    return;
  }
  // A 16-bit result would round the exponentials before they are divided by their sum.
  A* e;
  if constexpr (std::is_same_v<T, A>) {
    e = y;
  } else {
    struct Exponentials;
    e = workspace<Exponentials, A>(n);
  }
  A sum = sum_of_exponentials<true>(x, n, shift, e), inverse = sum == 0 ? A(1) : 1 / sum;
  write_row(y, n, [&](int64_t i, int lanes) { return load_lanes(e + i, lanes) * inverse; });
}

template <class T>
void backward_row(const T* grad_y, const T* y, T* grad_x, int64_t n, bool logarithm) {
  accumulator_t<T> total = 0;
  if constexpr (kInFloats<T>) {
    if (logarithm) {
      total = sum_along(n, [&](int64_t i, int lanes) { return load_floats_some(grad_y + i, lanes); });
    } else {
      total = sum_along(
          n, [&](int64_t i, int lanes) { return load_floats_some(grad_y + i, lanes) * load_floats_some(y + i, lanes); });
    }
  } else {
    for (int64_t i = 0; i < n; i++) total += logarithm ? grad_y[i] : grad_y[i] * y[i];
  }
  write_row(grad_x, n, [&](int64_t i, int lanes) {
    auto g = load_lanes(grad_y + i, lanes), p = load_lanes(y + i, lanes);
    return logarithm ? g - exponential(p) * total : p * (g - total);
  });
}

constexpr int64_t kColumns = 64 < kLanes ? kLanes : 64;  // of a block

// Calls f(first column, lanes) for the vectors of a block of columns.
template <class F>
GRADUS_INLINE void for_columns(int64_t columns, F f) {
  for (int64_t i = 0; i < columns; i += kLanes) f(i, lanes_left(columns - i));
}

template <class T>
void forward_columns(const T* x, T* y, int64_t n, int64_t inner, int64_t columns, bool logarithm) {
  alignas(kVectorBytes) float top[kColumns], sum[kColumns] = {};
  std::fill(top, top + kColumns, -INFINITY);
  for (int64_t row = 0; row < n; row++) {
    for_columns(columns, [&](int64_t i, int lanes) {
      store(top + i, max(load_floats_some(x + row * inner + i, lanes), load(top + i)));
    });
  }
  for (float& t : top) t = softmax_shift(t);
  constexpr bool kKeep = sizeof(T) == 4;
  for (int64_t row = 0; row < n; row++) {
    for_columns(columns, [&](int64_t i, int lanes) {
      Floats e = exp(load_floats_some(x + row * inner + i, lanes) - load(top + i));
      store(sum + i, load(sum + i) + e);
      if (kKeep && !logarithm) store_floats_some(y + row * inner + i, e, lanes);
    });
  }
  // From here on the sums are what the exponentials are multiplied with, or their logarithm.
  for_columns(columns, [&](int64_t i, int) {
    Floats s = load(sum + i), empty = select(s == 0.0f, broadcast(1.0f), s);
    store(sum + i, logarithm ? log(empty) : 1.0f / empty);
  });
  for (int64_t row = 0; row < n; row++) {
    for_columns(columns, [&](int64_t i, int lanes) {
      int64_t at = row * inner + i;
      Floats value;
      if (logarithm) value = load_floats_some(x + at, lanes) - load(top + i) - load(sum + i);
      else if (kKeep) value = load_floats_some(y + at, lanes) * load(sum + i);
      else value = exp(load_floats_some(x + at, lanes) - load(top + i)) * load(sum + i);
      store_floats_some(y + at, value, lanes);
    });
  }
}

template <class T>
void backward_columns(const T* grad_y, const T* y, T* grad_x, int64_t n, int64_t inner, int64_t columns, bool logarithm) {
  alignas(kVectorBytes) float sum[kColumns] = {};
  for (int64_t row = 0; row < n; row++) {
    for_columns(columns, [&](int64_t i, int lanes) {
      Floats g = load_floats_some(grad_y + row * inner + i, lanes), p = load_floats_some(y + row * inner + i, lanes);
      store(sum + i, logarithm ? load(sum + i) + g : fma(g, p, load(sum + i)));
    });
  }
  for (int64_t row = 0; row < n; row++) {
    for_columns(columns, [&](int64_t i, int lanes) {
      int64_t at = row * inner + i;
      Floats g = load_floats_some(grad_y + at, lanes), p = load_floats_some(y + at, lanes), s = load(sum + i);
      store_floats_some(grad_x + at, logarithm ? g - exp(p) * s : p * (g - s), lanes);
    });
  }
}

// Doubles of a line that is not dense are copied together.
void gather_line(const double* x, double* line, int64_t n, int64_t inner) {
  for (int64_t i = 0; i < n; i++) line[i] = x[i * inner];
}
void scatter_line(const double* line, double* y, int64_t n, int64_t inner) {
  for (int64_t i = 0; i < n; i++) y[i * inner] = line[i];
}

// Calls row(first element) for the lines of inner = 1, else block(first element, columns).
template <class Row, class Block>
void for_lines(int64_t outer, int64_t n, int64_t inner, int64_t widest, Row row, Block block) {
  if (inner == 1) {
    parallel_for(outer, rows_worth_a_chunk(n), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; o++) row(o * n);
    });
    return;
  }
  int64_t width = std::min(inner, widest), blocks = divide_up(inner, width);
  parallel_for(outer * blocks, rows_worth_a_chunk(n * width), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      int64_t column = unit % blocks * width;
      block(unit / blocks * n * inner + column, std::min(width, inner - column));
    }
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_softmax_forward(int64_t x_at, int64_t y_at, int64_t outer, int64_t n, int64_t inner, int32_t logarithm,
                                  int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (outer * n * inner == 0) return int(GR_OK);
    const T* x = pointer<const T>(x_at);
    T* y = pointer<T>(y_at);
    bool log = logarithm != 0;
    auto row = [&](int64_t at) { cpu::forward_row(x + at, y + at, n, log); };
    cpu::for_lines(outer, n, inner, std::is_same_v<T, double> ? 1 : cpu::kColumns, row, [&](int64_t at, int64_t columns) {
      if constexpr (cpu::kInFloats<T>) {
        cpu::forward_columns(x + at, y + at, n, inner, columns, log);
      } else {
        struct Line;
        double* line = cpu::workspace<Line, double>(n);
        cpu::gather_line(x + at, line, n, inner);
        cpu::forward_row(line, line, n, log);
        cpu::scatter_line(line, y + at, n, inner);
      }
    });
    return int(GR_OK);
  });
}

extern "C" int gr_softmax_backward(int64_t grad_y_at, int64_t y_at, int64_t grad_x_at, int64_t outer, int64_t n, int64_t inner,
                                   int32_t logarithm, int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (outer * n * inner == 0) return int(GR_OK);
    const T *grad_y = pointer<const T>(grad_y_at), *y = pointer<const T>(y_at);
    T* grad_x = pointer<T>(grad_x_at);
    bool log = logarithm != 0;
    auto row = [&](int64_t at) { cpu::backward_row(grad_y + at, y + at, grad_x + at, n, log); };
    cpu::for_lines(outer, n, inner, std::is_same_v<T, double> ? 1 : cpu::kColumns, row, [&](int64_t at, int64_t columns) {
      if constexpr (cpu::kInFloats<T>) {
        cpu::backward_columns(grad_y + at, y + at, grad_x + at, n, inner, columns, log);
      } else {
        struct Line;
        double* line = cpu::workspace<Line, double>(2 * n);
        cpu::gather_line(grad_y + at, line, n, inner);
        cpu::gather_line(y + at, line + n, n, inner);
        cpu::backward_row(line, line + n, line, n, log);
        cpu::scatter_line(line, grad_x + at, n, inner);
      }
    });
    return int(GR_OK);
  });
}
