// The product backward to the weights by Winograd's algorithm: the kernel of 3 x 3 is the result of filtering a tile of 6 x 6
// pixels of x with the 4 x 4 of gradY that belong to it, F(3 x 3, 4 x 4), so that x is transformed as it is forward (conv_winograd.h).
// Products are summed over all tiles before they are transformed back. Chunks take some bands of tiles and some channels; each
// leaves sums of its own, which are added in rising order of tiles.
#pragma once

#include <atomic>

#include "cpu/conv_winograd.h"
#include "cpu/workspace.h"

namespace gradus::cpu::conv {

constexpr int64_t kWinogradSplitTiles = 64;           // that sums of their own have at least
constexpr int64_t kWinogradSplits = 16;               // wanted, for all threads to have some
constexpr int64_t kWinogradBlockChunks = 8;           // wanted where that takes blocks of channels, each of which transforms x anew
constexpr int64_t kWinogradSplitElements = 1 << 22;   // of all sums, at most

// How the product is cut: by the sizes alone.
template <class A>
struct WinogradWeightPlan {
  TileGrid grid;
  Blocks<A> blocks;
  int64_t band;                // tiles
  int64_t splits, split;       // of the tiles, and how many each has
  int64_t block_splits;        // of the blocks of channels of gradY
  int64_t elements;            // of the sums of a split: [position][block][channels of x][vectors]

  explicit WinogradWeightPlan(const Window& w) : grid(w), blocks(w.results), elements(kPositions * weight_pitch<A>(w)) {
    const int64_t tiles = grid.count();
    band = std::max(kFewestBandTiles, std::min(kBandElements / (kPositions * (w.channels + w.results)), kMostBandTiles));
    splits = std::max<int64_t>(1, std::min({tiles / kWinogradSplitTiles, kWinogradSplits, kWinogradSplitElements / elements}));
    split = divide_up(divide_up(tiles, splits), band) * band;
    splits = divide_up(tiles, split);
    block_splits = std::max<int64_t>(1, std::min(kWinogradBlockChunks / splits, blocks.count));
  }

 private:
  static constexpr int64_t kBandElements = 1 << 17;  // of transformed tiles of x and gradY
  static constexpr int64_t kFewestBandTiles = 32, kMostBandTiles = 128;  // with few, sums come and go for little work
};

// One dimension of the transform of gradY: that of the results, transposed.
template <class V>
GRADUS_INLINE void transform_gradient(const V (&g)[kTile], V (&z)[kEdge]) {
  z[0] = g[0], z[5] = g[3];
  const V even_p = add_times(g[0], kP2, g[2]), odd_p = add_times(g[1] * kP, kP3, g[3]);
  z[1] = even_p + odd_p, z[2] = even_p - odd_p;
  const V even_q = add_times(g[0], kQ2, g[2]), odd_q = add_times(g[1] * kQ, kQ3, g[3]);
  z[3] = even_q + odd_q, z[4] = even_q - odd_q;
}
// One dimension of the sums' way back to the kernel: that of kernels, transposed.
template <class V>
GRADUS_INLINE void transform_weight(const V (&m)[kEdge], V (&g)[3]) {
  const V even_p = (m[1] + m[2]) * kOfP, even_q = (m[3] + m[4]) * kOfQ;
  g[0] = add_times(even_p + even_q, kOf0, m[0]);
  g[1] = add_times((m[3] - m[4]) * (kQ * kOfQ), kP * kOfP, m[1] - m[2]);
  g[2] = add_times(add_times(m[5], kQ2, even_q), kP2, even_p);
}

// Sums of the positions to the 3 x 3 of a kernel.
template <class V>
GRADUS_INLINE void transform_weights(const V (&m)[kPositions], V (&g)[9]) {
  V t[kEdge][3];
  for (int j = 0; j < kEdge; j++) {
    const V column[kEdge] = {m[j], m[kEdge + j], m[2 * kEdge + j], m[3 * kEdge + j], m[4 * kEdge + j], m[5 * kEdge + j]};
    transform_weight(column, t[j]);
  }
  for (int u = 0; u < 3; u++) {
    const V row[kEdge] = {t[0][u], t[1][u], t[2][u], t[3][u], t[4][u], t[5][u]};
    V line[3];
    transform_weight(row, line);
    for (int v = 0; v < 3; v++) g[3 * u + v] = line[v];
  }
}

// Some channels of gradY under the tiles of a range: position p of tile t at to[p * pitch + t * channels].
template <class T>
void transform_gradients(const TileGrid& grid, const T* grad_y, int64_t begin, int64_t end, int64_t channel, int64_t channels,
                         accumulator_t<T>* to, int64_t pitch) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  const Window& w = grid.window;
  grid.for_runs(begin, end, [&](int64_t image, int64_t tile_row, int64_t tile_column, int64_t run, int64_t before) {
    const int64_t row = kTile * tile_row, rows = w.rows - row;
    for (int64_t tile = 0; tile < run; tile++) {
      const int64_t column = kTile * (tile_column + tile), columns = w.columns - column;
      const T* from = grad_y + ((image * w.rows + row) * w.columns + column) * w.results + channel;
      A* out = to + (before + tile) * channels;
      for (int64_t c = 0; c < channels; c += L) {
        Vec<A> down[kTile][kEdge];
#pragma GCC unroll 4
        for (int j = 0; j < kTile; j++) {
          Vec<A> g[kTile];
#pragma GCC unroll 4
          for (int i = 0; i < kTile; i++) {
            g[i] = i < rows && j < columns ? load_wide(from + (i * w.columns + j) * w.results + c, L) : Vec<A>{};
          }
          transform_gradient(g, down[j]);
        }
#pragma GCC unroll 6
        for (int i = 0; i < kEdge; i++) {
          const Vec<A> g[kTile] = {down[0][i], down[1][i], down[2][i], down[3][i]};
          Vec<A> z[kEdge];
          transform_gradient(g, z);
#pragma GCC unroll 6
          for (int j = 0; j < kEdge; j++) store(out + (kEdge * i + j) * pitch + c, z[j]);
        }
      }
    }
  });
}

template <class T>
class WinogradWeight {
 public:
  using A = accumulator_t<T>;
  static constexpr int L = lanes_of<A>;

  WinogradWeight(const Window& window, const T* x, const T* grad_y, A* sums)
      : window_(window), x_(x), grad_y_(grad_y), sums_(sums), plan_(window) {}

  // Elements of memory for the sums.
  static int64_t elements(const Window& w) {
    const WinogradWeightPlan<A> plan(w);
    return plan.splits * plan.elements;
  }

  // C: the type of the result.
  template <class C>
  int run(C* grad_w, bool accumulate) const {
    std::atomic<bool> failed{false};
    parallel_chunks(plan_.splits * plan_.block_splits, [&](int64_t chunk) {
      if (!run_chunk(chunk / plan_.block_splits, chunk % plan_.block_splits)) failed = true;
    });
    if (failed) return GR_OUT_OF_MEMORY;
    transform_back(grad_w, accumulate);
    return GR_OK;
  }

 private:
  struct TileMemory;
  struct GradMemory;

  bool run_chunk(int64_t split, int64_t some_blocks) const {
    const int64_t channels = window_.channels, first_block = plan_.blocks.count * some_blocks / plan_.block_splits;
    const int64_t end_block = plan_.blocks.count * (some_blocks + 1) / plan_.block_splits;
    const int64_t first = plan_.blocks.first(first_block) * L, results = plan_.blocks.first(end_block) * L - first;
    // Positions lie a line further apart than they need: not all in the same sets of the cache.
    const int64_t tile_pitch = plan_.band * channels + 2 * L, grad_pitch = plan_.band * results + 2 * L;
    A* tiles = workspace<TileMemory, A>(kPositions * tile_pitch);
    A* grads = workspace<GradMemory, A>(kPositions * grad_pitch);
    if (tiles == nullptr || grads == nullptr) return false;

    const int64_t begin = split * plan_.split, end = std::min(begin + plan_.split, plan_.grid.count());
    for (int64_t t = begin; t < end; t += plan_.band) {
      const int64_t count = std::min(plan_.band, end - t);
      transform_sources(plan_.grid, x_, t, t + count, tiles, tile_pitch);
      transform_gradients(plan_.grid, grad_y_, t, t + count, first, results, grads, grad_pitch);
      for (int p = 0; p < kPositions; p++) {
        for (int64_t b = first_block; b < end_block; b++) {
          const int64_t channel = plan_.blocks.first(b) * L, width = plan_.blocks.width(b);
          multiply_position<A>(channels, count, int(width), tiles + p * tile_pitch, channels, true,
                               grads + p * grad_pitch + channel - first, results, sums_of(split, p) + channel * channels, width * L,
                               t > begin);
        }
      }
    }
    return true;
  }

  A* sums_of(int64_t split, int64_t position) const {
    return sums_ + split * plan_.elements + position * weight_pitch<A>(window_);
  }

  // gradW [results, 3, 3, channels].
  template <class C>
  void transform_back(C* grad_w, bool accumulate) const {
    const int64_t channels = window_.channels;
    for_each_vector<A>(1, window_.results, channels, [&](int64_t, int64_t result, int64_t at, int64_t width) {
      for (int64_t c = 0; c < channels; c += L) {
        Vec<A> g[9][L];
        for (int r = 0; r < L; r++) {
          Vec<A> m[kPositions];
          for (int p = 0; p < kPositions; p++) {
            m[p] = load(sums_of(0, p) + at + (c + r) * width);
            for (int64_t s = 1; s < plan_.splits; s++) m[p] += load(sums_of(s, p) + at + (c + r) * width);
          }
          Vec<A> one[9];
          transform_weights(m, one);
          for (int k = 0; k < 9; k++) g[k][r] = one[k];
        }
        for (int k = 0; k < 9; k++) {
          transpose<A>(g[k]);
          for (int r = 0; r < L; r++) {
            C* to = grad_w + ((result + r) * 9 + k) * channels + c;
            if (accumulate) g[k][r] += load_wide(to, L);
            store_narrow(to, g[k][r], L);
          }
        }
      }
    });
  }

  Window window_;
  const T* x_;
  const T* grad_y_;
  A* sums_;
  WinogradWeightPlan<A> plan_;
};

}  // namespace gradus::cpu::conv
