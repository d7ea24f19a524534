// The register tile of convolutions: R results of V vectors of channels each, summed over windows that are addressed by two
// tables, of where windows begin and of where their elements lie within one. So the inner loop knows of no border, stride or
// dilation, and a tile may run on from one row of the image to the next. With the tables exchanged it sums over pixels, for R
// elements of the window: the product backward to the weights.
//
// Rows are chosen so that sums, a row of weights and one element fit the registers, with at least eight sums where possible: two
// multiply-adds a cycle take four cycles each. Source of the blocking: Goto and van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication", ACM TOMS 34, 2008.
#pragma once

#include <array>
#include <utility>

#include "cpu/simd.h"

namespace gradus::cpu::conv {

// Most rows of a tile of so many vectors.
constexpr int tile_rows(int vectors) {
  if (kRegisters >= 32) return vectors == 4 ? 6 : 8;
  return vectors == 1 ? 8 : 6;
}
constexpr int kMostRows = 8;

template <class A>
alignas(64) constexpr A kZeros[4 * lanes_of<A>] = {};  // for sums to begin with

// Tiles that follow each other in the tables.
template <class A>
struct Tiles {
  const A* x;
  const int64_t* window;  // where windows begin in x
  const int32_t* taps;    // where the elements of a window lie
  int64_t depth;
  const A* w;             // the vectors that the elements are multiplied with
  int64_t pitch;          // from element to element of them
  const A* init;          // what the sums of every row begin with
  A* out;
  const int64_t* place;   // where rows go, in units of
  int64_t unit;           // so many elements
  bool add;               // to what is there
  bool relu;
};

template <class A, int R, int V>
void sum_tiles(const Tiles<A>& t, int64_t count) {
  constexpr int L = lanes_of<A>;
  for (int64_t i = 0; i < count; i++) {
    const A* x[R];
    A* out[R];
    Vec<A> sum[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      x[r] = t.x + t.window[i * R + r];
      out[r] = t.out + t.place[i * R + r] * t.unit;
      __builtin_prefetch(out[r], 1);
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sum[r][v] = load(t.init + v * L);
    }
    const A* w = t.w;
    const int64_t pitch = t.pitch;
    for (const int32_t *tap = t.taps, *end = tap + t.depth; tap < end; tap++, w += pitch) {
      const int64_t at = *tap;
      Vec<A> weights[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) weights[v] = load(w + v * L);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        Vec<A> a = broadcast(x[r][at]);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[r][v] = fma(a, weights[v], sum[r][v]);
      }
    }
    if (t.add) {
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[r][v] += load(out[r] + v * L);
      }
    }
    if (t.relu) {
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[r][v] = max(Vec<A>{}, sum[r][v]);  // NaN stays
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) store(out[r] + v * L, sum[r][v]);
    }
  }
}

template <class A>
using TileKernel = void (*)(const Tiles<A>&, int64_t);

template <class A, int V, size_t... R>
constexpr std::array<TileKernel<A>, kMostRows> tile_kernels_of(std::index_sequence<R...>) {
  return {sum_tiles<A, int(R) + 1, V>...};
}
template <class A, int V>
constexpr std::array<TileKernel<A>, kMostRows> tile_kernels() {
  return tile_kernels_of<A, V>(std::make_index_sequence<size_t(tile_rows(V))>());
}

// The kernels of tiles of 1 to tile_rows(vectors) rows.
template <class A>
const TileKernel<A>* tile_kernels(int vectors) {
  static constexpr std::array<TileKernel<A>, kMostRows> one = tile_kernels<A, 1>(), two = tile_kernels<A, 2>();
  if constexpr (kRegisters >= 32) {
    static constexpr std::array<TileKernel<A>, kMostRows> three = tile_kernels<A, 3>(), four = tile_kernels<A, 4>();
    if (vectors == 3) return three.data();
    if (vectors == 4) return four.data();
  }
  return vectors == 1 ? one.data() : two.data();
}

// All rows of the tables, in tiles that differ by a row at most.
template <class A>
inline void sum_rows(Tiles<A> t, int64_t rows, int vectors) {
  const TileKernel<A>* kernels = tile_kernels<A>(vectors);
  const int64_t tiles = (rows + tile_rows(vectors) - 1) / tile_rows(vectors);
  if (tiles == 0) return;
  const int64_t most = (rows + tiles - 1) / tiles, large = rows - tiles * (most - 1);
  kernels[most - 1](t, large);
  if (large == tiles) return;
  t.window += large * most, t.place += large * most;
  kernels[most - 2](t, tiles - large);
}

}  // namespace gradus::cpu::conv
