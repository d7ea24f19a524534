// What becomes of the sums of a tile before they are stored, and mean and variance of the channels of what is stored.
#pragma once

#include "cpu/conv_strip.h"

namespace gradus::cpu::conv {

// Of a chunk, for each channel: its first value, and the sums of the differences from it and of their squares.
constexpr int64_t kStatisticsParts = 3;

// out = activation(sum + residual), or with accumulate out += that; rounded once.
template <class T>
struct Output {
  using A = accumulator_t<T>;
  T* y;
  const T* residual;
  bool relu, accumulate;

  bool plain() const { return residual == nullptr && !accumulate; }

  // rows x vectors of sums, of which the first `lanes` of a row count: row r goes to y + origin + place[r]. `partial`, or null:
  // statistics of all channels, of which these begin at `channel`; they are begun where `fresh`.
  void finish(const A* sums, int64_t rows, int vectors, const int64_t* place, int64_t origin, int64_t lanes, int64_t channel,
              A* partial, int64_t channels, bool fresh) const {
    constexpr int L = lanes_of<A>;
    Rows part{sums, rows, vectors * L, place, origin, partial == nullptr ? nullptr : partial + channel, channels, fresh};
    for (int v = 0; v < vectors;) {
      const int width = lanes - v * L >= 2 * L ? 2 : 1;
      if (width == 2) choose<2>(part, L);
      else choose<1>(part, lanes_left<A>(lanes - v * L));
      v += width, part.sums += width * L, part.origin += width * L;
      if (partial != nullptr) part.partial += width * L;
    }
  }

 private:
  // Rows of sums, see finish; of one or two vectors.
  struct Rows {
    const A* sums;
    int64_t count, pitch;
    const int64_t* place;
    int64_t origin;
    A* partial;
    int64_t channels;
    bool fresh;
  };

  template <int V>
  void choose(const Rows& rows, int lanes) const {
    const bool adds = residual != nullptr || accumulate;
    if (V == 1 && lanes < lanes_of<A>) return finish_vectors<V, true>(rows, lanes, rows.partial != nullptr);
    constexpr int L = lanes_of<A>;
    if (rows.partial == nullptr) {
      adds ? finish_vectors<V, true>(rows, L, false) : finish_vectors<V, false>(rows, L, false);
    } else {
      adds ? finish_vectors<V, true>(rows, L, true) : finish_vectors<V, false>(rows, L, true);
    }
  }

  // V vectors of every row. kAdds: there may be a residual, or the result is added to what is there.
  template <int V, bool kAdds>
  GRADUS_INLINE void finish_vectors(const Rows& rows, int lanes, bool counts) const {
    constexpr int L = lanes_of<A>;
    Vec<A> first[V] = {}, sum[V] = {}, squares[V] = {};
    for (int v = 0; counts && v < V; v++) {
      first[v] = load(rows.sums + v * L);
      if (residual != nullptr) first[v] += load_wide(residual + rows.origin + rows.place[0] + v * L, lanes);
      first[v] = rows.fresh ? rounded(first[v]) : load_wide(rows.partial + v * L, lanes);
    }
    const A* from = rows.sums;
    // Results lie apart, which the machine does not foresee; other rows may be further off, which does no harm.
    const int64_t ahead = rows.count > 1 ? 32 * (rows.place[1] - rows.place[0]) : 0;
    const bool rectify = relu;
    for (int64_t r = 0; r < rows.count; r++, from += rows.pitch) {
      const int64_t at = rows.origin + rows.place[r];
      __builtin_prefetch(y + at + ahead, 1);
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        Vec<A> x = load(from + v * L);
        if (kAdds && residual != nullptr) x += load_wide(residual + at + v * L, lanes);
        if (counts) {
          const Vec<A> difference = rounded(x) - first[v];
          sum[v] += difference;
          squares[v] = fma(difference, difference, squares[v]);
        }
        if (rectify) x = max(Vec<A>{}, x);  // NaN stays
        if (kAdds && accumulate) x += load_wide(y + at + v * L, lanes);
        store_narrow(y + at + v * L, x, lanes);
      }
    }
    for (int v = 0; counts && v < V; v++) {
      A* to = rows.partial + v * L;
      if (!rows.fresh) {
        sum[v] += load_wide(to + rows.channels, lanes);
        squares[v] += load_wide(to + 2 * rows.channels, lanes);
      }
      store_narrow(to, first[v], lanes);
      store_narrow(to + rows.channels, sum[v], lanes);
      store_narrow(to + 2 * rows.channels, squares[v], lanes);
    }
  }

  static GRADUS_INLINE Vec<A> rounded(Vec<A> x) {
    if constexpr (std::is_same_v<T, A>) return x;
    T memory[lanes_of<A>];
    store_narrow(memory, x, lanes_of<A>);
    return load_wide(memory, lanes_of<A>);
  }
};

// Mean and biased variance [2, channels] from the statistics of chunks, chunk i with counts(i) values a channel. They are merged
// in their order. Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American Statistician 37, 1983.
template <class A, class F>
void merge_statistics(const A* partial, A* statistics, int64_t chunks, int64_t channels, F&& counts) {
  for (int64_t c = 0; c < channels; c++) {
    double mean = 0, squares = 0, total = 0;
    for (int64_t i = 0; i < chunks; i++) {
      const A* part = partial + i * kStatisticsParts * channels + c;
      double n = double(counts(i)), shift = double(part[channels]) / n;
      double difference = double(part[0]) + shift - mean;
      squares += double(part[2 * channels]) - shift * double(part[channels]) + difference * difference * (total * n / (total + n));
      mean += difference * (n / (total + n));
      total += n;
    }
    statistics[c] = A(mean);
    statistics[channels + c] = A(squares < 0 ? 0 : squares / total);  // NaN stays
  }
}

}  // namespace gradus::cpu::conv
