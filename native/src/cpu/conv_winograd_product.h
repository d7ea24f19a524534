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

  static int64_t weights(const Window& w) { return kPositions * w.channels * w.results; }
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
      pixels = workspace<PixelMemory, A>(4 * plan.band * plan.slice);
      places = workspace<PlaceMemory, int64_t>(4 * plan.band);
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
      const A* kernels = weights + p * depth * window.results;
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
      for (int64_t tile = 0; tile < run; tile++) {
        const int64_t row = 2 * tile_row, column = 2 * (tile_column + tile);
        const int64_t place = ((image * window.rows + row) * window.columns + column) * window.results;
        const int64_t steps[4] = {0, window.results, window.columns * window.results, (window.columns + 1) * window.results};
        const bool below = row + 1 < window.rows, beside = column + 1 < window.columns;
        const bool there[4] = {true, beside, below, below && beside};
        const A* sums = memory.sums + (before + tile) * channels;
        if (plain) {
          for (int64_t c = 0; c < channels; c += L) {
            Vec<A> y[4];
            results_of(sums + c, memory.sum_pitch, load(bias + channel + c), y);
            for (int k = 0; k < 4; k++) {
              if (output.relu) y[k] = max(Vec<A>{}, y[k]);  // NaN stays
              if (there[k]) store_narrow(output.y + place + steps[k] + channel + c, y[k], L);
            }
          }
          continue;
        }
        int64_t at[4];
        for (int k = 0; k < 4; k++) {
          at[k] = count * channels;
          if (there[k]) memory.places[count++] = place + steps[k];
        }
        for (int64_t c = 0; c < channels; c += L) {
          Vec<A> y[4];
          results_of(sums + c, memory.sum_pitch, load(bias + channel + c), y);
          for (int k = 0; k < 4; k++) {
            if (there[k]) store(memory.pixels + at[k] + c, y[k]);
          }
        }
      }
    });
    return count;
  }

  static GRADUS_INLINE void results_of(const A* sums, int64_t pitch, Vec<A> bias, Vec<A> (&y)[4]) {
    Vec<A> t[4][2];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      transform_result(load(sums + j * pitch), load(sums + (4 + j) * pitch), load(sums + (8 + j) * pitch),
                       load(sums + (12 + j) * pitch), t[j]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      Vec<A> row[2];
      transform_result(t[0][i], t[1][i], t[2][i], t[3][i], row);
      y[2 * i] = row[0] + bias, y[2 * i + 1] = row[1] + bias;
    }
  }
};

}  // namespace gradus::cpu::conv
