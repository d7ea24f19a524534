// The product of windows and packed weights, forward and backward to the input: bands of results on all threads, each with a
// strip of the source in the caches, by register tiles (conv_tile.h). A sum runs over ascending taps and channels.
#pragma once

#include <atomic>

#include "cpu/conv_statistics.h"
#include "cpu/conv_strip.h"
#include "cpu/conv_tile.h"
#include "cpu/parallel.h"
#include "cpu/workspace.h"

namespace gradus::cpu::conv {

constexpr int64_t kBandPixels = 256;        // of a band; fewer where there are many channels
constexpr int64_t kBandElements = 1 << 16;  // of the source under a band, about
constexpr int64_t kDepthBlock = 1024;       // elements of windows whose weights stay in the second-level cache
constexpr double kChunkProducts = 1 << 20;  // of a chunk, at least: 20 microseconds
constexpr int64_t kChunks = 32;             // wanted: where there are fewer bands, channels are split too

// How a product is cut into chunks: by the sizes alone.
template <class A>
struct ProductPlan {
  Bands bands;
  Blocks<A> blocks;
  int64_t band_chunks, chunk_bands, splits;

  explicit ProductPlan(const Window& w)
      : bands(w, std::min(kBandPixels, std::max<int64_t>(64, kBandElements / std::max<int64_t>(1, w.channels)))),
        blocks(w.group_results()) {
    double band_products = double(bands.pixels()) * double(w.depth() + 8) * double(w.results);
    auto grain = int64_t(kChunkProducts / std::max(1.0, band_products)) + 1;
    chunk_bands = chunk_size(bands.count(), grain);
    band_chunks = chunk_count(bands.count(), grain);
    splits = 1;
    if (band_chunks == 0 || band_chunks >= kChunks) return;
    auto most = int64_t(band_products * double(chunk_bands) / kChunkProducts);
    splits = std::max<int64_t>(1, std::min({most, kChunks / band_chunks, w.groups * blocks.count}));
  }

  int64_t pixels(int64_t chunk) const {
    int64_t sum = 0;
    for (int64_t i = chunk * chunk_bands; i < std::min((chunk + 1) * chunk_bands, bands.count()); i++) sum += bands[i].pixels();
    return sum;
  }
};

template <class T>
struct Product {
  using A = accumulator_t<T>;
  static constexpr int L = lanes_of<A>;
  struct StripMemory;
  struct SumMemory;
  struct PlaceMemory;

  Window window;
  const T* source;
  const A* weights;  // per group and block of channels [depth][vectors]
  const A* bias;     // per group, whole vectors
  Output<T> output;
  int32_t* taps;     // depth of them: memory of the table

  int run(A* statistics) const {
    const ProductPlan<A> plan(window);
    if (plan.bands.count() == 0) return GR_OK;
    const Strip<T> strip(window, source, plan.bands[0]);
    int64_t k = 0;
    for (int64_t u = 0; u < window.taps_h; u++) {
      for (int64_t v = 0; v < window.taps_w; v++) {
        for (int64_t c = 0; c < window.group_channels(); c++) taps[k++] = int32_t(strip.tap(u, v, c));
      }
    }
    std::atomic<bool> failed{false};
    parallel_chunks(plan.band_chunks * plan.splits, [&](int64_t chunk) {
      if (!run_chunk(plan, strip, chunk / plan.splits, chunk % plan.splits, statistics)) failed = true;
    });
    return failed ? GR_OUT_OF_MEMORY : GR_OK;
  }

 private:
  bool run_chunk(const ProductPlan<A>& plan, const Strip<T>& strip, int64_t chunk, int64_t split, A* statistics) const {
    const int64_t pixels = plan.bands.pixels(), all = window.groups * plan.blocks.count;
    A* memory = workspace<StripMemory, A>(strip.elements());
    A* sums = workspace<SumMemory, A>(pixels * Blocks<A>::kMost * L);
    int64_t* begins = workspace<PlaceMemory, int64_t>(3 * pixels);
    if (memory == nullptr || sums == nullptr || begins == nullptr) return false;
    int64_t *places = begins + pixels, *lines = places + pixels;
    for (int64_t p = 0; p < pixels; p++) lines[p] = p;
    A* partial = statistics == nullptr ? nullptr : statistics + chunk * kStatisticsParts * window.results;
    const int64_t first = chunk * plan.chunk_bands, last = std::min(first + plan.chunk_bands, plan.bands.count());
    Band before{};
    for (int64_t i = first; i < last; i++) {
      const Band band = plan.bands[i];
      if (!band.same_size(before)) locate(band, strip, begins, places);
      before = band;
      const A* x = strip.of(band, memory);
      for (int64_t b = all * split / plan.splits; b < all * (split + 1) / plan.splits; b++) {
        run_block(plan.blocks, b / plan.blocks.count, b % plan.blocks.count, band, x, begins, pixels, sums, partial, i == first);
      }
    }
    return true;
  }

  // Where the windows of a band begin in its strip, and where its results go, counted from the first.
  void locate(const Band& band, const Strip<T>& strip, int64_t* begins, int64_t* places) const {
    for (int64_t n = 0; n < band.images; n++) {
      for (int64_t i = 0; i < band.rows; i++) {
        for (int64_t j = 0; j < band.columns; j++) {
          *begins++ = strip.place(n, i, j);
          *places++ = place(n, i, j);
        }
      }
    }
  }
  int64_t place(int64_t image, int64_t row, int64_t column) const {
    int64_t pixel = (image * window.place_height + row * window.place_step_h) * window.place_width + column * window.place_step_w;
    return pixel * window.results;
  }

  // tables: of `stride` entries each, where windows begin, where results go, and 0, 1, 2...
  void run_block(const Blocks<A>& blocks, int64_t group, int64_t block, const Band& band, const A* x, const int64_t* tables,
                 int64_t stride, A* sums, A* partial, bool fresh) const {
    const int64_t pixels = band.pixels(), depth = window.depth(), first = blocks.first(block) * L, lanes = blocks.lanes(block);
    const int width = blocks.width(block);
    const int64_t channel = group * window.group_results() + first;
    const int64_t origin = place(band.image, band.row, band.column) +
                           (window.place_h * window.place_width + window.place_w) * window.results + channel;
    const int64_t* places = tables + stride;
    Tiles<A> tiles{x + group * window.group_channels(), tables, taps, 0, weights + (group * blocks.padded() + first) * depth,
                   width * L, bias + group * blocks.padded() + first, sums, places + stride, width * L, false, false};
    const bool plain = std::is_same_v<T, A> && lanes == width * L && output.plain() && partial == nullptr;
    if constexpr (std::is_same_v<T, A>) {
      if (plain) tiles.out = output.y + origin, tiles.place = places, tiles.unit = 1;
    }
    const int64_t parts = std::max<int64_t>(1, divide_up(depth, kDepthBlock));
    for (int64_t part = 0; part < parts; part++) {
      tiles.depth = depth * (part + 1) / parts - depth * part / parts;
      tiles.relu = plain && output.relu && part == parts - 1;
      sum_rows(tiles, pixels, width);
      tiles.taps += tiles.depth, tiles.w += tiles.depth * tiles.pitch;
      tiles.init = kZeros<A>, tiles.add = true;
    }
    if (!plain) output.finish(sums, pixels, width, places, origin, lanes, channel, partial, window.results, fresh);
  }
};

}  // namespace gradus::cpu::conv
