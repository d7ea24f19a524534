// Depthwise convolution forward and backward to the input: every channel has weights of its own, so that vectors of channels are
// multiplied with vectors of weights. Nothing is copied: taps that fall off the image are left out, row by row and, in the columns
// next to the border, pixel by pixel. Most of the time goes into memory traffic: source and result once each.
#pragma once

#include "cpu/conv_product.h"

namespace gradus::cpu::conv {

// Adjacent taps of a row of the kernel: where the first reads the source, and which one it is.
struct Run {
  int64_t x, tap;
};

template <class T>
struct DepthwiseTile {
  using A = accumulator_t<T>;
  const T* x;
  const Run* runs;
  int64_t count;
  int64_t channels;  // from pixel to pixel of the source
  int64_t stride;    // pixels of the source, from result to result
  const A* w;        // [tap][pitch]
  int64_t pitch;
  const A* init;
  A* out;
  int64_t step;      // from result to result
  int vectors;       // of channels
  int lanes;         // of a vector; less than there are only where there is one vector
  bool relu;
};

// R results side by side. Runs are K taps long, and with K > 1 results lie S pixels apart: an element of the source is read once
// for all results under it.
template <class T, int R, int K, int S>
GRADUS_INLINE void depthwise_results(const DepthwiseTile<T>& t, int lanes) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  const int64_t count = t.count, channels = t.channels, pitch = t.pitch, step = t.step;
  const bool relu = t.relu;
  const T* last = t.x + (count == 0 ? 0 : t.runs[count - 1].x);
  for (int v = 0; v < t.vectors; v++) {
    Vec<A> sum[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) sum[r] = load(t.init + v * L);
    if (R > 1 && v * L * int(sizeof(T)) % 64 == 0) {  // what the next tile is the first to touch
      for (int r = 0; r < R; r++) __builtin_prefetch(t.out + (R + r) * step + v * L, 1);
      for (int r = 0; r < R * S; r++) __builtin_prefetch(last + (R * S + r) * channels + v * L);
    }
    for (int64_t i = 0; i < count; i++) {
      const T* x = t.x + t.runs[i].x + v * L;
      const A* w = t.w + t.runs[i].tap * pitch + v * L;
      if constexpr (K == 1) {
        const Vec<A> weight = load(w);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) sum[r] = fma(load_wide(x + r * t.stride * channels, lanes), weight, sum[r]);
      } else {
        Vec<A> weight[K];
#pragma GCC unroll 8
        for (int k = 0; k < K; k++) weight[k] = load(w + k * pitch);
#pragma GCC unroll 32
        for (int p = 0; p < (R - 1) * S + K; p++) {
          const Vec<A> a = load_wide(x + p * channels, lanes);
#pragma GCC unroll 8
          for (int k = 0; k < K; k++) {
            const int r = (p - k) / S;
            if (p >= k && (p - k) % S == 0 && r < R) sum[r] = fma(a, weight[k], sum[r]);
          }
        }
      }
    }
    A* out = t.out + v * L;
    if (relu) {
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) sum[r] = max(Vec<A>{}, sum[r]);  // NaN stays
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) store(out + r * step, sum[r]);
  }
}

template <class T, int R, int K, int S>
void depthwise_tile(const DepthwiseTile<T>& t) {
  if (K > 1 || t.lanes == lanes_of<accumulator_t<T>>) return depthwise_results<T, R, K, S>(t, lanes_of<accumulator_t<T>>);
  if constexpr (K == 1) depthwise_results<T, R, K, S>(t, t.lanes);
}

// So many results side by side, moving the tile on.
template <class T, int K, int S>
void depthwise_row(DepthwiseTile<T>& t, int64_t results) {
  auto move = [&](auto rows) {
    constexpr int R = decltype(rows)::value;
    for (; results >= R; results -= R) {
      depthwise_tile<T, R, K, S>(t);
      t.x += R * t.stride * t.channels, t.out += R * t.step;
    }
  };
  move(std::integral_constant<int, 8>{});
  move(std::integral_constant<int, 4>{});
  move(std::integral_constant<int, 1>{});
}

// The columns of a window's grid whose windows lie within the width of the source: [begin, end).
struct Interior {
  int64_t begin, end;

  explicit Interior(const Window& w) {
    begin = std::min(w.columns, divide_up(std::max<int64_t>(0, -w.origin_w), w.stride_w));
    const int64_t room = w.width - 1 - (w.taps_w - 1) * w.step_w - w.origin_w;
    end = std::max(begin, room < 0 ? 0 : std::min(w.columns, room / w.stride_w + 1));
  }
};

// Rows of all images that a chunk has, by the sizes alone.
struct RowChunks {
  int64_t rows, size, count;

  explicit RowChunks(const Window& w) : rows(w.images * w.rows) {
    const double products = double(w.columns) * double(w.results) * double(w.taps() + 4);
    const auto grain = int64_t(kChunkProducts / 4 / std::max(1.0, products)) + 1;
    size = chunk_size(rows, grain);
    count = chunk_count(rows, grain);
  }
  int64_t begin(int64_t chunk) const { return chunk * size; }
  int64_t end(int64_t chunk) const { return std::min(rows, (chunk + 1) * size); }
};

template <class T>
class Depthwise {
 public:
  using A = accumulator_t<T>;
  static constexpr int L = lanes_of<A>;

  // weights: [taps][channels in whole vectors], bias as wide.
  Depthwise(const Window& window, const T* source, const A* weights, const A* bias, const Output<T>& output)
      : w_(window), source_(source), weights_(weights), bias_(bias), output_(output), interior_(window) {}

  int run(A* statistics) const {
    const RowChunks chunks(w_);
    std::atomic<bool> failed{false};
    parallel_chunks(chunks.count, [&](int64_t chunk) {
      A* partial = statistics == nullptr ? nullptr : statistics + chunk * kStatisticsParts * w_.results;
      if (!run_rows(chunks.begin(chunk), chunks.end(chunk), partial)) failed = true;
    });
    return failed ? GR_OUT_OF_MEMORY : GR_OK;
  }

 private:
  struct SumMemory;
  struct PlaceMemory;
  struct RunMemory;
  bool run_rows(int64_t begin, int64_t end, A* partial) const {
    A* sums = workspace<SumMemory, A>(w_.columns * padded());
    int64_t* places = workspace<PlaceMemory, int64_t>(w_.columns);
    Run* runs = workspace<RunMemory, Run>(w_.taps());
    if (sums == nullptr || places == nullptr || runs == nullptr) return false;
    for (int64_t j = 0; j < w_.columns; j++) places[j] = j * w_.place_step_w * w_.results;
    const int64_t all = w_.results, whole = all / L * L;
    for (int64_t row = begin; row < end; row++) {
      const int64_t image = row / w_.rows, i = row % w_.rows;
      if (whole > 0) run_row(image, i, 0, whole, sums, places, runs, partial, row == begin);
      if (whole < all) run_row(image, i, whole, all - whole, sums, places, runs, partial, row == begin);
    }
    return true;
  }

  // Whole vectors of channels, or one that is not.
  void run_row(int64_t image, int64_t row, int64_t channel, int64_t count, A* sums, const int64_t* places, Run* runs, A* partial,
               bool fresh) const {
    const int64_t place_row = image * w_.place_height + w_.place_h + row * w_.place_step_h;
    const int64_t origin = (place_row * w_.place_width + w_.place_w) * w_.results + channel;
    const int vectors = int(divide_up(count, L));
    DepthwiseTile<T> t{source_ + channel, runs, 0, w_.channels, w_.stride_w, weights_ + channel, padded(), bias_ + channel,
                       sums, vectors * L, vectors, lanes_left<A>(count), false};
    const bool plain = std::is_same_v<T, A> && count >= L && output_.plain() && partial == nullptr;
    if constexpr (std::is_same_v<T, A>) {
      if (plain) t.out = output_.y + origin, t.step = w_.place_step_w * w_.results, t.relu = output_.relu;
    }
    // Columns at the left border, those in the middle, columns at the right border.
    for (int64_t j = 0; j < interior_.begin; j++) run_pixel(t, image, row, j, runs);
    run_interior(t, image, row, runs);
    for (int64_t j = interior_.end; j < w_.columns; j++) run_pixel(t, image, row, j, runs);
    if (!plain) output_.finish(sums, w_.columns, vectors, places, origin, count, channel, partial, w_.results, fresh);
  }

  int64_t padded() const { return divide_up(w_.results, L) * L; }

  // The runs of the taps [v, v_end) for a result of a row, in pieces of so many taps.
  int64_t list(int64_t image, int64_t row, int64_t column, int64_t v, int64_t v_end, int64_t length, Run* runs) const {
    int64_t count = 0;
    for (int64_t u = 0; u < w_.taps_h; u++) {
      const int64_t from = w_.origin_h + row * w_.stride_h + u * w_.step_h;
      if (from < 0 || from >= w_.height) continue;
      const int64_t pixel = (image * w_.height + from) * w_.width + w_.origin_w + column * w_.stride_w;
      for (int64_t k = v; k < v_end; k += length) runs[count++] = {(pixel + k * w_.step_w) * w_.channels, u * w_.taps_w + k};
    }
    return count;
  }

  void run_pixel(DepthwiseTile<T>& t, int64_t image, int64_t row, int64_t column, Run* runs) const {
    const int64_t at = w_.origin_w + column * w_.stride_w;
    const int64_t v = std::min(w_.taps_w, divide_up(std::max<int64_t>(0, -at), std::max<int64_t>(1, w_.step_w)));
    const int64_t room = w_.width - 1 - at;
    const int64_t end = room < 0 ? v : std::min(w_.taps_w, room / std::max<int64_t>(1, w_.step_w) + 1);
    DepthwiseTile<T> one = t;
    one.count = list(image, row, column, v, end, 1, runs);
    depthwise_tile<T, 1, 1, 1>(one);
    t.out += t.step;
  }

  void run_interior(DepthwiseTile<T>& t, int64_t image, int64_t row, Run* runs) const {
    const int64_t results = interior_.end - interior_.begin;
    DepthwiseTile<T> many = t;
    const bool joined = w_.step_w == 1 && t.lanes == L && w_.stride_w <= 2;
    const int64_t length = joined && (w_.taps_w == 3 || (w_.stride_w == 1 && (w_.taps_w == 2 || w_.taps_w == 5))) ? w_.taps_w : 1;
    many.count = list(image, row, interior_.begin, 0, w_.taps_w, length, runs);
    if (length == 3) {
      w_.stride_w == 1 ? depthwise_row<T, 3, 1>(many, results) : depthwise_row<T, 3, 2>(many, results);
    } else if (length == 2) {
      depthwise_row<T, 2, 1>(many, results);
    } else if (length == 5) {
      depthwise_row<T, 5, 1>(many, results);
    } else {
      depthwise_row<T, 1, 1>(many, results);
    }
    t.out += results * t.step;
  }

  Window w_;
  const T* source_;
  const A* weights_;
  const A* bias_;
  Output<T> output_;
  Interior interior_;
};

// From weights [c, taps] to [taps][channels in whole vectors]; tap k of them is the one numbered tap(k).
template <class T, class F>
void pack_depthwise(const T* w, int64_t channels, int64_t all_taps, int64_t taps, accumulator_t<T>* to, F&& tap) {
  using A = accumulator_t<T>;
  const int64_t padded = divide_up(channels, lanes_of<A>) * lanes_of<A>;
  for (int64_t k = 0; k < taps; k++) {
    for (int64_t c = 0; c < padded; c++) to[k * padded + c] = c < channels ? A(to_float(w[c * all_taps + tap(k)])) : A(0);
  }
}

}  // namespace gradus::cpu::conv
