// A stable sort of 32-bit pairs (key, entry) by their key, 8 bits a pass from the lowest: count the digits of every tile; place
// every tile's share of every digit; move the pairs. The first pass takes its keys from a functor, and the number of passes
// follows from the number of keys.
//
// Traffic: a pass reads the keys twice and the entries once and writes both.
//
//   StableSort sort(entries, keys);           keys are below `keys`, both below 2^32
//   sort.run(source, scratch, stream, pairs)  source(entry) is its key; leaves the result in `pairs`, in scratch memory
#pragma once

#include "device/block.h"
#include "device/math.h"
#include "device/warp.h"
#include "kernels/launcher.h"

namespace gradus {
namespace {

// Scratch memory in parts, each aligned to 16 bytes.
struct ScratchMemory {
  int64_t address, bytes = 0;
  int64_t take(int64_t size) {
    int64_t at = address + bytes;
    bytes += divide_up(size, 16) * 16;
    return at;
  }
};

constexpr int kSortThreads = 256;
constexpr int kSortWarps = kSortThreads / 32;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kSortItems = 8;
constexpr int kSortTile = kSortThreads * kSortItems;
static_assert(kDigits == kSortThreads, "a thread looks after a digit");

// Pairs of key and entry; the first pass takes them from the index.
struct Pairs {
  uint32_t* keys;
  uint32_t* entries;
};
template <bool First, class Source>
GRADUS_DEVICE uint32_t key_of(const Source& source, const Pairs& in, int64_t at) {
  if constexpr (First) return source(at);
  else return in.keys[at];
}

GRADUS_DEVICE uint32_t digit_of(uint32_t key, int shift) { return key >> shift & (kDigits - 1); }

// A warp's items are consecutive, so that ranks within it follow the order.
GRADUS_DEVICE int64_t item_of(int64_t tile, int round) {
  return tile * kSortTile + int(threadIdx.x) / 32 * (32 * kSortItems) + round * 32 + int(threadIdx.x) % 32;
}

// counts[digit][tile]: how often the digit occurs in the tile.
template <bool First, class Source>
__global__ void __launch_bounds__(kSortThreads)
    sort_count_kernel(Source source, Pairs in, uint32_t* __restrict__ counts, int64_t entries, int64_t tiles, int shift) {
  GRADUS_SHARED(uint32_t, histogram, [kDigits]);
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    histogram[threadIdx.x] = 0;
    __syncthreads();  // all counters are 0 before anyone counts
    for (int round = 0; round < kSortItems; round++) {
      int64_t at = item_of(tile, round);
      uint32_t digit = at < entries ? digit_of(key_of<First>(source, in, at), shift) : uint32_t(kDigits);
      // One addition for all equal digits of the warp: frequent keys would have it queue.
      unsigned peers = __match_any_sync(kFullWarp, digit);
      if (digit < kDigits && lane_index() == __ffs(int(peers)) - 1) atomicAdd(&histogram[digit], uint32_t(__popc(peers)));
    }
    __syncthreads();  // everything is counted before it is read
    counts[int64_t(threadIdx.x) * tiles + tile] = histogram[threadIdx.x];
    __syncthreads();  // everything is read before the next tile resets
  }
}

// The sum over the lanes before one's own, among neighbours of so many lanes, a power of two.
GRADUS_DEVICE uint32_t exclusive_sum(uint32_t value, uint32_t& total, int lanes) {
  int lane = lane_index() % lanes;
  uint32_t sum = value;
  for (int distance = 1; distance < lanes; distance *= 2) {
    uint32_t before = __shfl_up_sync(kFullWarp, sum, unsigned(distance), lanes);
    if (lane >= distance) sum += before;
  }
  total = lanes == 1 ? sum : __shfl_sync(kFullWarp, sum, lanes - 1, lanes);
  return sum - value;
}

// Some lanes turn the counts of a digit into the numbers of that digit in earlier tiles, in place, and give their total.
__global__ void __launch_bounds__(kSortThreads)
    sort_offsets_kernel(uint32_t* __restrict__ counts, uint32_t* __restrict__ totals, int64_t tiles, int lanes) {
  constexpr int kAtOnce = 4;
  int lane = lane_index() % lanes;
  int64_t digit = (int64_t(blockIdx.x) * kSortThreads + threadIdx.x) / lanes;
  uint32_t* row = counts + digit * tiles;
  uint32_t before = 0;
  for (int64_t start = 0; start < tiles; start += lanes * kAtOnce) {
    uint32_t count[kAtOnce], total;
    GRADUS_UNROLL
    for (int u = 0; u < kAtOnce; u++) {
      int64_t at = start + u * lanes + lane;
      count[u] = at < tiles ? row[at] : 0;
    }
    GRADUS_UNROLL
    for (int u = 0; u < kAtOnce; u++) {
      int64_t at = start + u * lanes + lane;
      uint32_t earlier = exclusive_sum(count[u], total, lanes);
      if (at < tiles) row[at] = before + earlier;
      before += total;
    }
  }
  if (lane == 0) totals[digit] = before;
}

// Moves the pairs of a tile to their places: after all smaller digits, after equal digits of earlier tiles, of earlier warps and
// of earlier items of the warp.
template <bool First, class Source>
__global__ void __launch_bounds__(kSortThreads)
    sort_move_kernel(Source source, Pairs in, Pairs out, const uint32_t* __restrict__ counts, const uint32_t* __restrict__ totals,
                     int64_t entries, int64_t tiles, int shift) {
  GRADUS_SHARED(uint32_t, places, [kSortWarps][kDigits]);
  GRADUS_SHARED(uint32_t, warp_totals, [kSortWarps]);
  int thread = int(threadIdx.x), warp = thread / 32, lane = lane_index();
  uint32_t warp_total;
  uint32_t smaller = exclusive_sum(totals[thread], warp_total, 32);
  if (lane == 0) warp_totals[warp] = warp_total;
  __syncthreads();  // every warp's total is there before it is added
  for (int w = 0; w < warp; w++) smaller += warp_totals[w];

  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    for (int w = 0; w < kSortWarps; w++) places[w][thread] = 0;
    __syncthreads();  // all counters are 0 before anyone counts
    uint32_t keys[kSortItems], ranks[kSortItems];
    GRADUS_UNROLL
    for (int round = 0; round < kSortItems; round++) {
      int64_t at = item_of(tile, round);
      keys[round] = at < entries ? key_of<First>(source, in, at) : 0;
    }
    GRADUS_UNROLL
    for (int round = 0; round < kSortItems; round++) {
      bool valid = item_of(tile, round) < entries;
      uint32_t digit = valid ? digit_of(keys[round], shift) : uint32_t(kDigits);
      unsigned peers = __match_any_sync(kFullWarp, digit);
      uint32_t earlier = valid ? places[warp][digit] : 0;
      ranks[round] = earlier + uint32_t(__popc(peers & ((1u << lane) - 1)));
      __syncwarp();  // all lanes have read the count before one of them raises it
      if (valid && lane == __ffs(int(peers)) - 1) places[warp][digit] = earlier + uint32_t(__popc(peers));
      __syncwarp();  // and it is raised before the next round reads it
    }
    __syncthreads();  // every warp's counts are there before they become places
    uint32_t place = smaller + counts[int64_t(thread) * tiles + tile];
    for (int w = 0; w < kSortWarps; w++) {
      uint32_t count = places[w][thread];
      places[w][thread] = place;
      place += count;
    }
    __syncthreads();  // the places are there before the pairs go
    GRADUS_UNROLL
    for (int round = 0; round < kSortItems; round++) {
      int64_t at = item_of(tile, round);
      if (at >= entries) continue;
      uint32_t to = places[warp][digit_of(keys[round], shift)] + ranks[round];
      out.keys[to] = keys[round];
      out.entries[to] = First ? uint32_t(at) : in.entries[at];
    }
    __syncthreads();  // all have read their places before the next tile resets them
  }
}

inline int sort_passes(int64_t keys) {
  int bits = 1;
  while (bits < 32 && (int64_t(1) << bits) < keys) bits++;
  return (bits + kDigitBits - 1) / kDigitBits;
}

class StableSort {
 public:
  static constexpr int64_t kMost = int64_t(UINT32_MAX) - 1;

  StableSort(int64_t entries, int64_t keys)
      : entries_(entries), tiles_(divide_up(entries, kSortTile)), passes_(sort_passes(keys)) {}

  int64_t scratch_bytes() const { return memory_at(0).bytes; }

  template <class Source>
  int run(const Source& source, int64_t scratch, int64_t stream, Pairs& sorted) const {
    Memory memory = memory_at(scratch);
    int status = run_pass<true>(source, Pairs{}, memory.pairs[0], memory, 0, stream);
    sorted = memory.pairs[0];
    for (int pass = 1; pass < passes_ && status == GR_OK; pass++) {
      const Pairs& out = memory.pairs[pass % 2];
      status = run_pass<false>(source, sorted, out, memory, pass * kDigitBits, stream);
      sorted = out;
    }
    return status;
  }

 private:
  struct Memory {
    Pairs pairs[2];
    uint32_t *counts, *totals;
    int64_t bytes;
  };

  Memory memory_at(int64_t scratch) const {
    ScratchMemory parts{scratch};
    Memory out{};
    for (int k = 0; k < std::min(2, passes_); k++) {
      out.pairs[k].keys = pointer<uint32_t>(parts.take(entries_ * 4));
      out.pairs[k].entries = pointer<uint32_t>(parts.take(entries_ * 4));
    }
    out.counts = pointer<uint32_t>(parts.take(kDigits * tiles_ * 4));
    out.totals = pointer<uint32_t>(parts.take(kDigits * 4));
    out.bytes = parts.bytes;
    return out;
  }

  template <bool First, class Source>
  int run_pass(const Source& source, const Pairs& in, const Pairs& out, const Memory& memory, int shift, int64_t stream) const {
    LaunchConfig per_tile = LaunchConfig(blocks_for(tiles_, 1), kSortThreads).stream(stream_of(stream));
    int status =
        finish(GRADUS_LAUNCH((sort_count_kernel<First, Source>), per_tile, source, in, memory.counts, entries_, tiles_, shift));
    if (status != GR_OK) return status;
    int lanes = 1;
    while (lanes < 32 && lanes < tiles_) lanes *= 2;
    status = finish(GRADUS_LAUNCH(sort_offsets_kernel, LaunchConfig(unsigned(lanes), kSortThreads).stream(stream_of(stream)),
                                  memory.counts, memory.totals, tiles_, lanes));
    if (status != GR_OK) return status;
    return finish(GRADUS_LAUNCH((sort_move_kernel<First, Source>), per_tile, source, in, out, memory.counts, memory.totals,
                                entries_, tiles_, shift));
  }

  int64_t entries_, tiles_;
  int passes_;
};

}  // namespace
}  // namespace gradus
