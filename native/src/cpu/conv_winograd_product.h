// The product of windows and weights, forward and backward to the input, by Winograd's algorithm (conv_winograd.h): bands of tiles
// on all threads. A band's tiles are transformed, multiplied position by position, and transformed back, all within the
// second-level cache.
#pragma once

#include <atomic>

#include "cpu/conv_statistics.h"
#include "cpu/conv_winograd.h"
#include "cpu/workspace.h"

namespace gradus::cpu::conv {

constexpr int64_t kWinogradElements = 1 << 16;  // of a band's transformed tiles and sums, about
constexpr int64_t kWinogradTiles = 96;          // of a band, at most
constexpr int64_t kWinogradBands = 16;          // wanted, for all threads to have some
constexpr double kWinogradGrain = 1 << 19;      // products of a chunk, at least: 20 microseconds

// How many tiles a band has: whole register tiles of six.
inline int64_t winograd_band(int64_t tiles, int64_t elements_per_tile) {
  int64_t n = std::min({kWinogradElements / elements_per_tile, kWinogradTiles, divide_up(tiles, kWinogradBands)});
  return std::max<int64_t>(12, n / 6 * 6);
}

// How a product is cut: by the sizes alone.
template <class A>
struct WinogradPlan {
  TileGrid grid;
  Blocks<A> blocks;
  int64_t slice_blocks, slice;  // blocks of results that are summed between two transforms, and their results at most
  int64_t band, bands;          // tiles of a band
  int64_t chunk_bands, chunks;

  explicit WinogradPlan(const Window& w) : grid(w), blocks(w.results) {
    constexpr int64_t kSlice = 64, kWidth = Blocks<A>::kMost * lanes_of<A>;
    slice_blocks = std::min(blocks.count, std::max<int64_t>(1, kSlice / kWidth));
    slice = std::min(slice_blocks * kWidth, blocks.padded());
    const int64_t tiles = grid.count();
    band = winograd_band(tiles, kPositions * (w.channels + slice));
    bands = divide_up(tiles, band);
    double products = double(band) * kPositions * double(w.channels) * double(w.results);
    auto grain = int64_t(kWinogradGrain / std::max(1.0, products)) + 1;
    chunk_bands = chunk_size(bands, grain);
    chunks = chunk_count(bands, grain);
  }

  int64_t begin(int64_t chunk) const { return std::min(chunk * chunk_bands * band, grid.count()); }
  int64_t pixels(int64_t chunk) const { return grid.pixels(begin(chunk), begin(chunk + 1)); }

  static int64_t weights(const Window& w) { return kPositions * weight_pitch<A>(w); }
};

template <class T>
struct WinogradProduct {
  using A = accumulator_t<T>;
  static constexpr int L = lanes_of<A>;
  struct TileMemory;
  struct SumMemory;
  struct PixelMemory;
  struct PlaceMemory;

  Window window;
  const T* source;
  const A* weights;  // of transform_forward_kernels
  const A* bias;
  Output<T> output;

  int run(A* statistics) const {
    const WinogradPlan<A> plan(window);
    std::atomic<bool> failed{false};
    parallel_chunks(plan.chunks, [&](int64_t chunk) {
      if (!run_chunk(plan, chunk, statistics)) failed = true;
    });
    return failed ? GR_OUT_OF_MEMORY : GR_OK;
  }

 private:
  // What a chunk works with. Positions lie a line further apart than they need: not all in the same sets of the cache.
  struct Memory {
    A *tiles, *sums, *pixels;
    int64_t tile_pitch, sum_pitch;
    int64_t* places;  // of the results

    Memory(const WinogradPlan<A>& plan, const Window& w) {
      tile_pitch = plan.band * w.channels + 2 * L, sum_pitch = plan.band * plan.slice + 2 * L;
      tiles = workspace<TileMemory, A>(kPositions * tile_pitch);
      sums = workspace<SumMemory, A>(kPositions * sum_pitch);
      pixels = workspace<PixelMemory, A>(kTileResults * plan.band * plan.slice);
      places = workspace<PlaceMemory, int64_t>(kTileResults * plan.band);
    }
    bool complete() const { return tiles != nullptr && sums != nullptr && pixels != nullptr && places != nullptr; }
  };

  bool run_chunk(const WinogradPlan<A>& plan, int64_t chunk, A* statistics) const {
    const Memory memory(plan, window);
    if (!memory.complete()) return false;
    A* partial = statistics == nullptr ? nullptr : statistics + chunk * kStatisticsParts * window.results;
    const int64_t first = plan.begin(chunk), last = plan.begin(chunk + 1);
    for (int64_t t = first; t < last; t += plan.band) {
      const int64_t end = std::min(t + plan.band, last);
      transform_sources(plan.grid, source, t, end, memory.tiles, memory.tile_pitch);
      for (int64_t b = 0; b < plan.blocks.count; b += plan.slice_blocks) {
        const int64_t b_end = std::min(b + plan.slice_blocks, plan.blocks.count);
        const int64_t channel = plan.blocks.first(b) * L, channels = plan.blocks.first(b_end) * L - channel;
        multiply(plan, memory, end - t, b, b_end, channels);
        const bool plain = output.plain() && partial == nullptr;
        const int64_t pixels = transform_back(plan.grid, memory, t, end, channel, channels, plain);
        if (plain) continue;
        output.finish(memory.pixels, pixels, int(channels / L), memory.places, channel, channels, channel, partial, window.results,
                      t == first);
      }
    }
    return true;
  }

  // sums[position][tile][channels] of some blocks of results.
  void multiply(const WinogradPlan<A>& plan, const Memory& memory, int64_t tiles, int64_t begin, int64_t end,
                int64_t channels) const {
    const int64_t depth = window.channels, channel = plan.blocks.first(begin) * L;
    for (int p = 0; p < kPositions; p++) {
      const A* kernels = weights + p * weight_pitch<A>(window);
      for (int64_t b = begin; b < end; b++) {
        const int64_t first = plan.blocks.first(b) * L;
        multiply_position<A>(tiles, depth, plan.blocks.width(b), memory.tiles + p * memory.tile_pitch, depth, false,
                             kernels + first * depth, plan.blocks.width(b) * L,
                             memory.sums + p * memory.sum_pitch + first - channel, channels, false);
      }
    }
  }

  // Results of a range of tiles, with their bias: to y, rectified where wanted, or to memory.pixels with their places. Returns how
  // many pixels there are.
  int64_t transform_back(const TileGrid& grid, const Memory& memory, int64_t begin, int64_t end, int64_t channel, int64_t channels,
                         bool plain) const {
    int64_t count = 0;
    grid.for_runs(begin, end, [&](int64_t image, int64_t tile_row, int64_t tile_column, int64_t run, int64_t before) {
      const int64_t row = kTile * tile_row, rows = std::min<int64_t>(kTile, window.rows - row);
      for (int64_t tile = 0; tile < run; tile++) {
        const int64_t column = kTile * (tile_column + tile), columns = std::min<int64_t>(kTile, window.columns - column);
        const int64_t place = ((image * window.rows + row) * window.columns + column) * window.results;
        const A* sums = memory.sums + (before + tile) * channels;
        const A* add = bias + channel;
        if (plain) {
          T* y = output.y + place + channel;
          results_of(sums, memory.sum_pitch, channels, add, rows, columns, [&](int64_t i, int64_t j, int64_t c, Vec<A> result) {
            if (output.relu) result = max(Vec<A>{}, result);  // NaN stays
            store_narrow(y + (i * window.columns + j) * window.results + c, result, L);
          });
          continue;
        }
        A* pixels = memory.pixels + count * channels;
        results_of(sums, memory.sum_pitch, channels, add, rows, columns, [&](int64_t i, int64_t j, int64_t c, Vec<A> result) {
          store(pixels + (i * columns + j) * channels + c, result);
        });
        for (int64_t i = 0; i < rows; i++) {
          for (int64_t j = 0; j < columns; j++) memory.places[count++] = place + (i * window.columns + j) * window.results;
        }
      }
    });
    return count;
  }

  // f(row, column, channel, results) for the rows and columns that a tile has.
  template <class F>
  static GRADUS_INLINE void results_of(const A* sums, int64_t pitch, int64_t channels, const A* bias, int64_t rows, int64_t columns,
                                       F&& f) {
    for (int64_t c = 0; c < channels; c += L) {
      Vec<A> down[kEdge][kTile];
#pragma GCC unroll 6
      for (int j = 0; j < kEdge; j++) {
        Vec<A> m[kEdge];
#pragma GCC unroll 6
        for (int i = 0; i < kEdge; i++) m[i] = load(sums + (kEdge * i + j) * pitch + c);
        transform_result(m, down[j]);
      }
      const Vec<A> add = load(bias + c);
#pragma GCC unroll 4
      for (int i = 0; i < kTile; i++) {
        if (i >= rows) break;
        const Vec<A> m[kEdge] = {down[0][i], down[1][i], down[2][i], down[3][i], down[4][i], down[5][i]};
        Vec<A> y[kTile];
        transform_result(m, y);
#pragma GCC unroll 4
        for (int j = 0; j < kTile; j++) {
          if (j < columns) f(i, j, c, y[j] + add);
        }
      }
    }
  }
};

}  // namespace gradus::cpu::conv
