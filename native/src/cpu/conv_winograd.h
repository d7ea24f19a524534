// Winograd's minimal filtering: four results of a 3 x 3 kernel with stride 1, in a tile of 2 x 2 pixels, from 16 products a channel
// in place of 36. With d the tile's 4 x 4 pixels of the source and g the kernel,
//
//   y = A' [(G g G') * (B' d B)] A
//
// where * is by elements, so that each of the 16 positions is a matrix product [tiles, channels] x [channels, results] of its own.
// All factors but one half are 1 and -1: sums grow to four times the source's size, and errors stay within about twice those of the
// plain sum. An infinity or a NaN spreads over the results of its tile.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, F(2 x 2, 3 x 3).
#pragma once

#include "cpu/conv_pack.h"
#include "cpu/gemm.h"

namespace gradus::cpu::conv {

constexpr int kPositions = 16;  // of a tile, after the transform

// The tiles of all images, row by row. What they read of the source, and where the results go, is told by the window.
struct TileGrid {
  int64_t images, down, across;
  Window window;

  explicit TileGrid(const Window& w) : images(w.images), down(divide_up(w.rows, 2)), across(divide_up(w.columns, 2)), window(w) {}

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
      sum += std::min<int64_t>(2, window.rows - 2 * row) * std::min(2 * run, window.columns - 2 * column);
    });
    return sum;
  }
};

// Whether a product of windows is computed so: where there are channels enough to pay for the transforms, and tiles enough to pay
// for that of the weights. float64 is for those who want exactness.
template <class T>
bool winograd_serves(const Window& w) {
  using A = accumulator_t<T>;
  constexpr int64_t kFewest = 16;
  if (sizeof(A) == 8 || w.groups != 1 || w.taps_h != 3 || w.taps_w != 3) return false;
  for (int64_t one : {w.step_h, w.step_w, w.stride_h, w.stride_w, w.place_step_h, w.place_step_w}) {
    if (one != 1) return false;
  }
  for (int64_t n : {w.channels, w.results}) {
    if (n < kFewest || n % lanes_of<A> != 0) return false;
  }
  return TileGrid(w).count() >= 64;
}

// One dimension of B' d.
template <class V>
GRADUS_INLINE void transform_source(V d0, V d1, V d2, V d3, V (&t)[4]) {
  t[0] = d0 - d2, t[1] = d1 + d2, t[2] = d2 - d1, t[3] = d1 - d3;
}
// One dimension of A' m.
template <class V>
GRADUS_INLINE void transform_result(V m0, V m1, V m2, V m3, V (&y)[2]) {
  y[0] = m0 + m1 + m2, y[1] = m1 - m2 - m3;
}
// One dimension of G g.
template <class V>
GRADUS_INLINE void transform_kernel(V g0, V g1, V g2, V (&u)[4]) {
  V ends = g0 + g2;
  u[0] = g0, u[1] = (ends + g1) * 0.5f, u[2] = (ends - g1) * 0.5f, u[3] = g2;
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

// 3 x 3 vectors of kernels to 4 x 4.
template <class V>
GRADUS_INLINE void transform_kernels(const V (&g)[9], V (&u)[kPositions]) {
  V t[3][4];
  for (int v = 0; v < 3; v++) transform_kernel(g[v], g[3 + v], g[6 + v], t[v]);
  for (int i = 0; i < 4; i++) {
    V row[4];
    transform_kernel(t[0][i], t[1][i], t[2][i], row);
    for (int j = 0; j < 4; j++) u[4 * i + j] = row[j];
  }
}

// The tiles of a range, transformed: position p of tile t at to[p * pitch + t * channels]. Columns that neighbouring tiles share
// are read and transformed once.
template <class T>
void transform_sources(const TileGrid& grid, const T* source, int64_t begin, int64_t end, accumulator_t<T>* to, int64_t pitch) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  alignas(64) static const T kOutside[size_t(L)] = {};
  const Window& w = grid.window;
  const int64_t channels = w.channels;
  grid.for_runs(begin, end, [&](int64_t image, int64_t tile_row, int64_t tile_column, int64_t run, int64_t before) {
    const int64_t top = 2 * tile_row + w.origin_h, left = 2 * tile_column + w.origin_w;
    for (int64_t c = 0; c < channels; c += L) {
      const T* row[4];
      int64_t step[4];
      for (int r = 0; r < 4; r++) {
        const bool there = top + r >= 0 && top + r < w.height;
        row[r] = there ? source + ((image * w.height + top + r) * w.width) * channels + c : kOutside;
        step[r] = there ? channels : 0;
      }
      Vec<A> t[4][4];
      auto read = [&](int64_t column, Vec<A> (&out)[4]) {
        if (column < 0 || column >= w.width) {
          for (int i = 0; i < 4; i++) out[i] = Vec<A>{};
          return;
        }
        transform_source(load_wide(row[0] + column * step[0], L), load_wide(row[1] + column * step[1], L),
                         load_wide(row[2] + column * step[2], L), load_wide(row[3] + column * step[3], L), out);
      };
      read(left, t[0]);
      read(left + 1, t[1]);
      A* out = to + before * channels + c;
      for (int64_t tile = 0; tile < run; tile++, out += channels) {
        read(left + 2 * tile + 2, t[2]);
        read(left + 2 * tile + 3, t[3]);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
          Vec<A> p[4];
          transform_source(t[0][i], t[1][i], t[2][i], t[3][i], p);
#pragma GCC unroll 4
          for (int j = 0; j < 4; j++) store(out + (4 * i + j) * pitch, p[j]);
          t[0][i] = t[2][i], t[1][i] = t[3][i];
        }
      }
    }
  });
}

// Kernels [results, 3, 3, channels] to those of the positions: to[position][block of results][channels][vectors].
template <class T>
void transform_forward_kernels(const T* w, int64_t channels, int64_t results, accumulator_t<T>* to) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  for_each_vector<A>(1, results, channels, [&](int64_t, int64_t result, int64_t at, int64_t width) {
    for (int64_t c = 0; c < channels; c += L) {
      Vec<A> u[kPositions][L];
      for (int r = 0; r < L; r++) {
        Vec<A> g[9], one[kPositions];
        for (int k = 0; k < 9; k++) g[k] = load_wide(w + ((result + r) * 9 + k) * channels + c, L);
        transform_kernels(g, one);
        for (int p = 0; p < kPositions; p++) u[p][r] = one[p];
      }
      for (int p = 0; p < kPositions; p++) {
        transpose<A>(u[p]);
        for (int r = 0; r < L; r++) store(to + p * channels * results + at + (c + r) * width, u[p][r]);
      }
    }
  });
}

// The same for the product backward to the input: kernels [channels of the source, 3, 3, results], turned about.
template <class T>
void transform_backward_kernels(const T* w, int64_t channels, int64_t results, accumulator_t<T>* to) {
  using A = accumulator_t<T>;
  for_each_vector<A>(1, results, channels, [&](int64_t, int64_t result, int64_t at, int64_t width) {
    for (int64_t c = 0; c < channels; c++) {
      Vec<A> g[9], u[kPositions];
      for (int k = 0; k < 9; k++) g[k] = load_wide(w + (c * 9 + 8 - k) * results + result, lanes_of<A>);
      transform_kernels(g, u);
      for (int p = 0; p < kPositions; p++) store(to + p * channels * results + at + c * width, u[p]);
    }
  });
}

}  // namespace gradus::cpu::conv
