// The product backward to the weights by Winograd's algorithm: the kernel of 3 x 3 is the result of filtering a tile of 4 x 4
// pixels of x with the 2 x 2 of gradY that belong to it, F(3 x 3, 2 x 2), so that x is transformed as it is forward (conv_winograd.h).
// Products are summed over all tiles before they are transformed back. Chunks take some bands of tiles and some channels; each
// leaves sums of its own, which are added in rising order of tiles.
#pragma once

#include <atomic>

#include "cpu/conv_winograd.h"
#include "cpu/workspace.h"

namespace gradus::cpu::conv {

constexpr int64_t kWinogradSplitTiles = 192;          // that sums of their own have at least
constexpr int64_t kWinogradSplits = 16;               // wanted, for all threads to have some
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

  explicit WinogradWeightPlan(const Window& w) : grid(w), blocks(w.results), elements(kPositions * w.channels * w.results) {
    const int64_t tiles = grid.count();
    band = std::max<int64_t>(16, std::min(kBandElements / (kPositions * (w.channels + w.results)), kBandTiles));
    splits = std::max<int64_t>(1, std::min({tiles / kWinogradSplitTiles, kWinogradSplits, kWinogradSplitElements / elements}));
    split = divide_up(divide_up(tiles, splits), band) * band;
    splits = divide_up(tiles, split);
    block_splits = std::max<int64_t>(1, std::min(kWinogradSplits / splits, blocks.count));
  }

 private:
  static constexpr int64_t kBandElements = 1 << 16;  // of transformed tiles of x and gradY
  static constexpr int64_t kBandTiles = 128;
};

// One dimension of the transform of gradY; the halves that it lacks are in that of the results.
template <class V>
GRADUS_INLINE void transform_gradient(V g0, V g1, V (&z)[4]) {
  z[0] = g0, z[1] = g0 + g1, z[2] = g0 - g1, z[3] = g1;
}
// One dimension of the sums' way back to the kernel.
template <class V>
GRADUS_INLINE void transform_weight(V m0, V m1, V m2, V m3, V (&g)[3]) {
  V even = (m1 + m2) * 0.5f;
  g[0] = m0 + even, g[1] = (m1 - m2) * 0.5f, g[2] = even - m3;
}

// Some channels of gradY under the tiles of a range: position p of tile t at to[p * pitch + t * channels].
template <class T>
void transform_gradients(const TileGrid& grid, const T* grad_y, int64_t begin, int64_t end, int64_t channel, int64_t channels,
                         accumulator_t<T>* to, int64_t pitch) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  const Window& w = grid.window;
  grid.for_runs(begin, end, [&](int64_t image, int64_t tile_row, int64_t tile_column, int64_t run, int64_t before) {
    for (int64_t tile = 0; tile < run; tile++) {
      const int64_t row = 2 * tile_row, column = 2 * (tile_column + tile);
      const T* from = grad_y + ((image * w.rows + row) * w.columns + column) * w.results + channel;
      const bool below = row + 1 < w.rows, beside = column + 1 < w.columns;
      A* out = to + (before + tile) * channels;
      for (int64_t c = 0; c < channels; c += L) {
        const Vec<A> zero{}, g00 = load_wide(from + c, L), g01 = beside ? load_wide(from + w.results + c, L) : zero;
        const T* next = from + w.columns * w.results + c;
        const Vec<A> g10 = below ? load_wide(next, L) : zero, g11 = below && beside ? load_wide(next + w.results, L) : zero;
        Vec<A> left[4], right[4];
        transform_gradient(g00, g10, left);
        transform_gradient(g01, g11, right);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
          Vec<A> z[4];
          transform_gradient(left[i], right[i], z);
#pragma GCC unroll 4
          for (int j = 0; j < 4; j++) store(out + (4 * i + j) * pitch + c, z[j]);
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
    return sums_ + split * plan_.elements + position * window_.channels * window_.results;
  }

  // gradW [results, 3, 3, channels].
  template <class C>
  void transform_back(C* grad_w, bool accumulate) const {
    const int64_t channels = window_.channels;
    for_each_vector<A>(1, window_.results, channels, [&](int64_t, int64_t result, int64_t at, int64_t width) {
      for (int64_t c = 0; c < channels; c += L) {
        Vec<A> m[kPositions][L];
        for (int p = 0; p < kPositions; p++) {
          for (int r = 0; r < L; r++) m[p][r] = load(sums_of(0, p) + at + (c + r) * width);
          for (int64_t s = 1; s < plan_.splits; s++) {
            for (int r = 0; r < L; r++) m[p][r] += load(sums_of(s, p) + at + (c + r) * width);
          }
          transpose<A>(m[p]);
        }
        for (int r = 0; r < L; r++) {
          Vec<A> t[4][3];
          for (int j = 0; j < 4; j++) transform_weight(m[j][r], m[4 + j][r], m[8 + j][r], m[12 + j][r], t[j]);
          for (int u = 0; u < 3; u++) {
            Vec<A> g[3];
            transform_weight(t[0][u], t[1][u], t[2][u], t[3][u], g);
            for (int v = 0; v < 3; v++) {
              C* to = grad_w + ((result + r) * 9 + 3 * u + v) * channels + c;
              if (accumulate) g[v] += load_wide(to, L);
              store_narrow(to, g[v], L);
            }
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
