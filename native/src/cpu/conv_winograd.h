// Winograd's minimal filtering: sixteen results of a 3 x 3 kernel with stride 1, in a tile of 4 x 4 pixels, from 36 products a
// channel in place of 144. With d the tile's 6 x 6 pixels of the source and g the kernel,
//
//   y = A' [(G g G') * (B' d B)] A
//
// where * is by elements, so that each of the 36 positions is a matrix product [tiles, channels] x [channels, results] of its own.
// The matrices evaluate polynomials at the points 0, p, -p, q, -q and infinity. p = 5/8 and q = 3/2, whose powers are exact, leave
// the least errors of the small fractions tried in a model, half of those of the usual 1 and 2. Measured here with 64 channels of
// random numbers: 6.5e-7 (root mean square, of the results' own), where the plain sum has 3.0e-7. An infinity or a NaN spreads over
// the results of its tiles.
// Sources: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, F(4 x 4, 3 x 3); Barabasz, Anderson,
// Soodhalter, Gregg, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46, 2020.
#pragma once

#include "cpu/conv_pack.h"
#include "cpu/gemm.h"

namespace gradus::cpu::conv {

constexpr int kTile = 4, kTileResults = kTile * kTile;      // pixels of a tile of results
constexpr int kEdge = kTile + 2, kPositions = kEdge * kEdge;  // pixels of the source under it, and what they are transformed to
constexpr int64_t kNeighbours = 4;                            // tiles whose columns the first-level cache holds

// The tiles of all images, row by row. What they read of the source, and where the results go, is told by the window.
struct TileGrid {
  int64_t images, down, across;
  Window window;

  explicit TileGrid(const Window& w) : images(w.images), down(divide_up(w.rows, kTile)), across(divide_up(w.columns, kTile)), window(w) {}

  int64_t count() const { return images * down * across; }

  // f(image, tile row, first tile within it, tiles, how many tiles came before) for the rows of tiles that a range lies in.
  template <class F>
  void for_runs(int64_t begin, int64_t end, F&& f) const {
    for (int64_t t = begin; t < end;) {
      const int64_t column = t % across, row = t / across;
      const int64_t run = std::min(across - column, end - t);
      f(row / down, row % down, column, run, t - begin);
      t += run;
    }
  }

  // Results in a range of tiles.
  int64_t pixels(int64_t begin, int64_t end) const {
    int64_t sum = 0;
    for_runs(begin, end, [&](int64_t, int64_t row, int64_t column, int64_t run, int64_t) {
      sum += std::min<int64_t>(kTile, window.rows - kTile * row) * std::min(kTile * run, window.columns - kTile * column);
    });
    return sum;
  }
};

// Whether a product of windows is computed so: where there are channels enough to pay for the transforms, tiles enough to pay for
// that of the weights, and tiles full enough to save a third of the multiplications. float64 is for those who want exactness.
template <class T>
bool winograd_serves(const Window& w) {
  using A = accumulator_t<T>;
  constexpr int64_t kFewestChannels = 16, kFewestTiles = 16;
  if (sizeof(A) == 8 || w.groups != 1 || w.taps_h != 3 || w.taps_w != 3) return false;
  for (int64_t one : {w.step_h, w.step_w, w.stride_h, w.stride_w, w.place_step_h, w.place_step_w}) {
    if (one != 1) return false;
  }
  for (int64_t n : {w.channels, w.results}) {
    if (n < kFewestChannels || n % lanes_of<A> != 0) return false;
  }
  const int64_t tiles = TileGrid(w).count();
  return tiles >= kFewestTiles && 3 * tiles * kPositions <= 2 * w.taps() * w.pixels();
}

// The points, their powers, and the products of the differences of each from the others.
constexpr float kP = 5.f / 8, kQ = 3.f / 2, kP2 = kP * kP, kQ2 = kQ * kQ, kP3 = kP * kP2, kQ3 = kQ * kQ2;
constexpr float kOf0 = 1 / (kP2 * kQ2), kOfP = 1 / (2 * kP2 * (kP2 - kQ2)), kOfQ = 1 / (2 * kQ2 * (kQ2 - kP2));

// factor * x + y
template <class V>
GRADUS_INLINE V add_times(V y, float factor, V x) {
  return fma(V{} + factor, x, y);
}

// One dimension of B' d.
template <class V>
GRADUS_INLINE void transform_source(const V (&d)[kEdge], V (&t)[kEdge]) {
  t[0] = add_times(add_times(d[4], -(kP2 + kQ2), d[2]), kP2 * kQ2, d[0]);
  const V even_p = add_times(d[4], -kQ2, d[2]), odd_p = add_times(d[3], -kQ2, d[1]);
  t[1] = add_times(even_p, kP, odd_p), t[2] = add_times(even_p, -kP, odd_p);
  const V even_q = add_times(d[4], -kP2, d[2]), odd_q = add_times(d[3], -kP2, d[1]);
  t[3] = add_times(even_q, kQ, odd_q), t[4] = add_times(even_q, -kQ, odd_q);
  t[5] = add_times(add_times(d[5], -(kP2 + kQ2), d[3]), kP2 * kQ2, d[1]);
}
// One dimension of A' m.
template <class V>
GRADUS_INLINE void transform_result(const V (&m)[kEdge], V (&y)[kTile]) {
  const V even_p = m[1] + m[2], odd_p = m[1] - m[2], even_q = m[3] + m[4], odd_q = m[3] - m[4];
  y[0] = m[0] + (even_p + even_q);
  y[1] = add_times(odd_q * kQ, kP, odd_p);
  y[2] = add_times(even_q * kQ2, kP2, even_p);
  y[3] = add_times(add_times(m[5], kQ3, odd_q), kP3, odd_p);
}
// One dimension of G g.
template <class V>
GRADUS_INLINE void transform_kernel(V g0, V g1, V g2, V (&u)[kEdge]) {
  u[0] = g0 * kOf0, u[5] = g2;
  const V even_p = add_times(g0, kP2, g2) * kOfP, odd_p = g1 * (kP * kOfP);
  u[1] = even_p + odd_p, u[2] = even_p - odd_p;
  const V even_q = add_times(g0, kQ2, g2) * kOfQ, odd_q = g1 * (kQ * kOfQ);
  u[3] = even_q + odd_q, u[4] = even_q - odd_q;
}

// c [rows, columns] = a b, or c += that: a product of one position. a is [rows, depth], or turned [depth, rows]; columns are whole
// vectors of at most Blocks<A>::kMost.
template <class A>
void multiply_position(int64_t rows, int64_t depth, int vectors, const A* a, int64_t a_pitch, bool turned, const A* b,
                       int64_t b_pitch, A* c, int64_t c_pitch, bool add) {
  const gemm_detail::RowBlock<A> block(0, rows);
  for (int64_t band = 0; band < block.bands; band++) {
    const int64_t first = block.begin(band);
    const A* from = a + (turned ? first : first * a_pitch);
    for (int v = 0; v < vectors; v += 2) {
      const int64_t column = v * lanes_of<A>;
      GemmKernel<A> kernel = gemm_kernel<A>(block.height(band), std::min(vectors - v, 2), turned);
      kernel(depth, from, a_pitch, b + column, b_pitch, c + first * c_pitch + column, c_pitch, add);
    }
  }
}

// 3 x 3 vectors of kernels to those of the positions.
template <class V>
GRADUS_INLINE void transform_kernels(const V (&g)[9], V (&u)[kPositions]) {
  V t[3][kEdge];
  for (int v = 0; v < 3; v++) transform_kernel(g[v], g[3 + v], g[6 + v], t[v]);
  for (int i = 0; i < kEdge; i++) {
    V row[kEdge];
    transform_kernel(t[0][i], t[1][i], t[2][i], row);
    for (int j = 0; j < kEdge; j++) u[kEdge * i + j] = row[j];
  }
}

// Some neighbouring tiles of a row, transformed: position p of tile t at to[p * pitch + t * channels]. Down first, column by column,
// as neighbours share two columns.
template <class T>
void transform_neighbours(const Window& w, const T* source, int64_t top, int64_t left, int64_t tiles, accumulator_t<T>* to,
                          int64_t pitch) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  alignas(64) static const T kOutside[size_t(L)] = {};
  const int64_t channels = w.channels, columns = kTile * tiles + 2;
  for (int64_t c = 0; c < channels; c += L) {
    const T* row[kEdge];
    int64_t step[kEdge];
    for (int r = 0; r < kEdge; r++) {
      const bool there = top + r >= 0 && top + r < w.height;
      row[r] = there ? source + (top + r) * w.width * channels + c : kOutside;
      step[r] = there ? channels : 0;
    }
    Vec<A> down[kTile * kNeighbours + 2][kEdge];
    for (int64_t i = 0; i < columns; i++) {
      const int64_t column = left + i;
      if (column < 0 || column >= w.width) {
        for (int r = 0; r < kEdge; r++) down[i][r] = Vec<A>{};
        continue;
      }
      Vec<A> d[kEdge];
#pragma GCC unroll 6
      for (int r = 0; r < kEdge; r++) d[r] = load_wide(row[r] + column * step[r], L);
      transform_source(d, down[i]);
    }
    A* out = to + c;
    for (int64_t tile = 0; tile < tiles; tile++, out += channels) {
      const Vec<A>(*from)[kEdge] = down + kTile * tile;
#pragma GCC unroll 6
      for (int i = 0; i < kEdge; i++) {
        const Vec<A> d[kEdge] = {from[0][i], from[1][i], from[2][i], from[3][i], from[4][i], from[5][i]};
        Vec<A> p[kEdge];
        transform_source(d, p);
#pragma GCC unroll 6
        for (int j = 0; j < kEdge; j++) store(out + (kEdge * i + j) * pitch, p[j]);
      }
    }
  }
}

// The tiles of a range, transformed: position p of tile t at to[p * pitch + t * channels].
template <class T>
void transform_sources(const TileGrid& grid, const T* source, int64_t begin, int64_t end, accumulator_t<T>* to, int64_t pitch) {
  const Window& w = grid.window;
  grid.for_runs(begin, end, [&](int64_t image, int64_t tile_row, int64_t tile_column, int64_t run, int64_t before) {
    for (int64_t i = 0; i < run; i += kNeighbours) {
      transform_neighbours(w, source + image * w.height * w.width * w.channels, kTile * tile_row + w.origin_h,
                           kTile * (tile_column + i) + w.origin_w, std::min(run - i, kNeighbours), to + (before + i) * w.channels,
                           pitch);
    }
  });
}

// Elements from the weights of a position to the next, those of so many kernels: a line more than they need, not all in the same
// sets of the cache.
template <class A>
int64_t weight_pitch(const Window& w) {
  return w.channels * w.results + 64 / int64_t(sizeof(A));
}

// Kernels [results, 3, 3, channels] to those of the positions: to[position][block of results][channels][vectors].
template <class T>
void transform_forward_kernels(const T* w, const Window& window, accumulator_t<T>* to) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  const int64_t channels = window.channels, results = window.results, pitch = weight_pitch<A>(window);
  for_each_vector<A>(1, results, channels, [&](int64_t, int64_t result, int64_t at, int64_t width) {
    for (int64_t c = 0; c < channels; c += L) {
      Vec<A> g[9][L];
      for (int k = 0; k < 9; k++) {
        for (int r = 0; r < L; r++) g[k][r] = load_wide(w + ((result + r) * 9 + k) * channels + c, L);
        transpose<A>(g[k]);
      }
      for (int r = 0; r < L; r++) {
        Vec<A> one[9], u[kPositions];
        for (int k = 0; k < 9; k++) one[k] = g[k][r];
        transform_kernels(one, u);
        for (int p = 0; p < kPositions; p++) store(to + p * pitch + at + (c + r) * width, u[p]);
      }
    }
  });
}

// The same for the product backward to the input: kernels [channels of the source, 3, 3, results], turned about.
template <class T>
void transform_backward_kernels(const T* w, const Window& window, accumulator_t<T>* to) {
  using A = accumulator_t<T>;
  const int64_t channels = window.channels, results = window.results, pitch = weight_pitch<A>(window);
  for_each_vector<A>(1, results, channels, [&](int64_t, int64_t result, int64_t at, int64_t width) {
    for (int64_t c = 0; c < channels; c++) {
      Vec<A> g[9], u[kPositions];
      for (int k = 0; k < 9; k++) g[k] = load_wide(w + (c * 9 + 8 - k) * results + result, lanes_of<A>);
      transform_kernels(g, u);
      for (int p = 0; p < kPositions; p++) store(to + p * pitch + at + c * width, u[p]);
    }
  });
}

}  // namespace gradus::cpu::conv
