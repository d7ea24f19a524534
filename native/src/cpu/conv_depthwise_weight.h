// Depthwise convolution backward to the weights: vectors of channels of gradY times vectors of x, one sum for each tap, in
// registers along a row of pixels. Chunks of rows leave sums of their own, which are added in rising order.
#pragma once

#include "cpu/conv_depthwise.h"

namespace gradus::cpu::conv {

template <class T>
struct DepthwiseWeightTile {
  using A = accumulator_t<T>;
  const T* x;
  int64_t row, column;  // from row to row of taps, from tap to tap
  int64_t x_step;       // from pixel to pixel
  const T* grad_y;
  int64_t y_step;
  int64_t pixels;
  A* sums;              // of the first tap
  int64_t sum_row, sum_column;
  int lanes;
};

// Adds the sums over pixels for H rows of W taps. With few taps several pixels are in flight, so that sums do not wait.
template <class T, int H, int W>
void depthwise_weights(const DepthwiseWeightTile<T>& t) {
  using A = accumulator_t<T>;
  constexpr int U = H * W >= 6 ? 1 : H * W >= 3 ? 2 : 4;
  Vec<A> sum[U][H][W] = {};
  const T *x = t.x, *g = t.grad_y;
  auto add = [&](Vec<A>(&to)[H][W], const T* from, const T* grad, int lanes) {
    const Vec<A> a = load_wide(grad, lanes);
#pragma GCC unroll 8
    for (int u = 0; u < H; u++) {
#pragma GCC unroll 8
      for (int v = 0; v < W; v++) to[u][v] = fma(load_wide(from + u * t.row + v * t.column, lanes), a, to[u][v]);
    }
  };
  auto all = [&](int lanes) {
    int64_t p = 0;
    for (; p + U <= t.pixels; p += U) {
#pragma GCC unroll 8
      for (int i = 0; i < U; i++, x += t.x_step, g += t.y_step) add(sum[i], x, g, lanes);
    }
    for (; p < t.pixels; p++, x += t.x_step, g += t.y_step) add(sum[0], x, g, lanes);
  };
  t.lanes == lanes_of<A> ? all(lanes_of<A>) : all(t.lanes);
  for (int u = 0; u < H; u++) {
    for (int v = 0; v < W; v++) {
      A* to = t.sums + u * t.sum_row + v * t.sum_column;
      Vec<A> total = load(to);
      for (int i = 0; i < U; i++) total += sum[i][u][v];
      store(to, total);
    }
  }
}

template <class T>
class DepthwiseWeight {
 public:
  using A = accumulator_t<T>;
  static constexpr int L = lanes_of<A>;

  // sums: `elements` of them.
  DepthwiseWeight(const Window& window, const T* x, const T* grad_y, A* sums)
      : w_(window), x_(x), grad_y_(grad_y), sums_(sums), interior_(window) {}

  static int64_t elements(const Window& w) { return RowChunks(w).count * w.taps() * divide_up(w.results, L) * L; }

  // C: the type of the result.
  template <class C>
  void run(C* grad_w, bool accumulate) const {
    const RowChunks chunks(w_);
    const int64_t padded = divide_up(w_.results, L) * L, size = w_.taps() * padded;
    parallel_chunks(chunks.count, [&](int64_t chunk) {
      A* sums = sums_ + chunk * size;
      memset(sums, 0, size_t(size) * sizeof(A));
      for (int64_t block = 0; block < w_.results; block += kBlock) {
        for (int64_t row = chunks.begin(chunk); row < chunks.end(chunk); row++) {
          for (int64_t channel = block; channel < std::min(block + kBlock, w_.results); channel += L) {
            run_row(row / w_.rows, row % w_.rows, channel, sums + channel, padded);
          }
        }
      }
    });
    for (int64_t chunk = 1; chunk < chunks.count; chunk++) {
      for (int64_t i = 0; i < size; i += L) store(sums_ + i, load(sums_ + i) + load(sums_ + chunk * size + i));
    }
    for (int64_t c = 0; c < w_.results; c++) {
      for (int64_t k = 0; k < w_.taps(); k++) {
        C& to = grad_w[c * w_.taps() + k];
        to = from_accumulator<C>(accumulate ? sums_[k * padded + c] + A(to_float(to)) : sums_[k * padded + c]);
      }
    }
  }

 private:
  static constexpr int64_t kBlock = 4 * L;  // channels whose rows stay in the first-level cache from one row to the next

  void run_row(int64_t image, int64_t row, int64_t channel, A* sums, int64_t padded) const {
    const int64_t top = w_.origin_h + row * w_.stride_h;
    int64_t u = 0, end = w_.taps_h;  // those on the image
    while (u < end && top + u * w_.step_h < 0) u++;
    while (end > u && top + (end - 1) * w_.step_h >= w_.height) end--;
    if (u == end) return;
    const int64_t first = (image * w_.height + top + u * w_.step_h) * w_.width + w_.origin_w;
    DepthwiseWeightTile<T> t{};
    t.row = w_.step_h * w_.width * w_.channels, t.column = w_.step_w * w_.channels, t.x_step = w_.stride_w * w_.channels;
    t.y_step = w_.results, t.sum_row = w_.taps_w * padded, t.sum_column = padded;
    t.lanes = lanes_left<A>(w_.results - channel);
    const T* grad_y = grad_y_ + (image * w_.rows + row) * w_.columns * w_.results + channel;
    // The taps [v, v_end) of the rows on the image, for results [j, j_end).
    auto sum = [&](int64_t v, int64_t v_end, int64_t j, int64_t j_end) {
      if (j >= j_end || v >= v_end) return;
      t.x = x_ + (first + v * w_.step_w + j * w_.stride_w) * w_.channels + channel;
      t.grad_y = grad_y + j * w_.results, t.pixels = j_end - j;
      t.sums = sums + (u * w_.taps_w + v) * padded;
      run_taps(t, end - u, v_end - v);
    };
    auto border = [&](int64_t j) {
      const int64_t at = w_.origin_w + j * w_.stride_w, room = w_.width - 1 - at;
      const int64_t v = std::min(w_.taps_w, divide_up(std::max<int64_t>(0, -at), w_.step_w));
      sum(v, room < 0 ? v : std::min(w_.taps_w, room / w_.step_w + 1), j, j + 1);
    };
    for (int64_t j = 0; j < interior_.begin; j++) border(j);
    sum(0, w_.taps_w, interior_.begin, interior_.end);
    for (int64_t j = interior_.end; j < w_.columns; j++) border(j);
  }

  // Any number of taps, as many as possible at once.
  static void run_taps(DepthwiseWeightTile<T> t, int64_t high, int64_t wide) {
    for (int64_t u = 0; u < high;) {
      const int64_t rows = wide == 3 && high - u >= 3 ? 3 : 1;
      DepthwiseWeightTile<T> part = t;
      for (int64_t v = 0; v < wide;) {
        const int64_t taps = rows == 3 ? 3 : wide - v >= 5 ? 5 : wide - v >= 3 ? 3 : wide - v;
        if (rows == 3) depthwise_weights<T, 3, 3>(part);
        else if (taps == 5) depthwise_weights<T, 1, 5>(part);
        else if (taps == 3) depthwise_weights<T, 1, 3>(part);
        else if (taps == 2) depthwise_weights<T, 1, 2>(part);
        else depthwise_weights<T, 1, 1>(part);
        v += taps, part.x += taps * t.column, part.sums += taps * t.sum_column;
      }
      u += rows, t.x += rows * t.row, t.sums += rows * t.sum_row;
    }
  }

  Window w_;
  const T* x_;
  const T* grad_y_;
  A* sums_;
  Interior interior_;
};

}  // namespace gradus::cpu::conv
