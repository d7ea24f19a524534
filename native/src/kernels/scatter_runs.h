// Sums over runs of equal keys: the entries of a run are added to their row in order, and long runs in pieces that are summed by
// themselves and then combined, so that a frequent key costs no more than others.
//
// Sums are formed in float32 (float64 for float64, modulo 2^32 or 2^64 for integers) and rounded once.
#pragma once

#include "device/block.h"
#include "device/half.h"
#include "device/vector.h"
#include "device/wide_divide.h"
#include "gradus/indexing.h"

namespace gradus {
namespace {

constexpr int kRunThreads = 256;
constexpr int kBlocksPerSm = 3;  // leaves 80 registers, so that none is spilled

template <class T>
struct SumOf {
  using type = uint32_t;
};
template <>
struct SumOf<int64_t> {
  using type = uint64_t;
};
template <>
struct SumOf<float> {
  using type = float;
};
template <>
struct SumOf<double> {
  using type = double;
};
template <>
struct SumOf<bfloat16> {
  using type = float;
};
template <>
struct SumOf<float16> {
  using type = float;
};
template <class T>
using sum_t = typename SumOf<T>::type;
template <class T>
constexpr bool kIsFloating = std::is_same_v<sum_t<T>, float> || std::is_same_v<sum_t<T>, double>;

template <class T>
GRADUS_DEVICE sum_t<T> to_sum(T x) {
  if constexpr (kIsFloating<T>) return to_float(x);
  else return sum_t<T>(x);
}
template <class T>
GRADUS_DEVICE T from_sum(sum_t<T> x) {
  if constexpr (kIsFloating<T>) return from_accumulator<T>(x);
  else if constexpr (std::is_same_v<T, bool>) return x != 0;
  else return T(x);
}

template <int N, class T>
GRADUS_DEVICE void add_row(sum_t<T> (&sum)[N], const T* x) {
  Pack<T, N> pack = load_pack<T, N>(x);
  GRADUS_UNROLL
  for (int k = 0; k < N; k++) sum[k] += to_sum(pack.value[k]);
}
template <int N, class T>
GRADUS_DEVICE void store_row(T* x, const sum_t<T> (&sum)[N]) {
  Pack<T, N> pack;
  GRADUS_UNROLL
  for (int k = 0; k < N; k++) pack.value[k] = from_sum<T>(sum[k]);
  store_pack(x, pack);
}

// Sums themselves in memory, by at most 16 bytes: wider packs would need more alignment.
template <class A, int N>
constexpr int kSumPack = N < kPackSize<A> ? N : kPackSize<A>;
template <int N, class A>
GRADUS_DEVICE void add_sums(A (&sum)[N], const A* x) {
  GRADUS_UNROLL
  for (int k = 0; k < N; k += kSumPack<A, N>) {
    auto pack = load_pack<A, kSumPack<A, N>>(x + k);
    GRADUS_UNROLL
    for (int i = 0; i < kSumPack<A, N>; i++) sum[k + i] += pack.value[i];
  }
}
template <int N, class A>
GRADUS_DEVICE void store_sums(A* x, const A (&sum)[N]) {
  GRADUS_UNROLL
  for (int k = 0; k < N; k += kSumPack<A, N>) {
    Pack<A, kSumPack<A, N>> pack;
    GRADUS_UNROLL
    for (int i = 0; i < kSumPack<A, N>; i++) pack.value[i] = sum[k + i];
    store_pack(x + k, pack);
  }
}

// Whether targets are added to, or written: then rows without an entry become 0, and so does the row `zero_key`.
struct Target {
  bool add;
  int64_t zero_key;  // -1: none
};

struct Runs {
  const uint32_t* keys;
  const uint32_t* entries;
  int64_t count;    // entries
  int64_t targets;  // rows of x, of one repeat
  int64_t width;
  Target target;

  // The first entry with a key of at least this.
  GRADUS_DEVICE int64_t find(uint32_t key) const { return first_not_below(0, count, key); }
  // The end of the run from `start`, or `limit` if that comes first.
  GRADUS_DEVICE int64_t end(int64_t start, int64_t limit) const {
    uint32_t key = keys[start];
    if (start + 1 >= limit || keys[start + 1] != key) return start + 1;
    return key == UINT32_MAX ? limit : first_not_below(start + 1, limit, key + 1);
  }
  GRADUS_DEVICE bool is_long(int64_t start) const {
    return start + GR_SCATTER_RUN < count && keys[start + GR_SCATTER_RUN] == keys[start];
  }
  GRADUS_DEVICE int64_t limit(int64_t start) const { return start + GR_SCATTER_RUN < count ? start + GR_SCATTER_RUN : count; }

 private:
  GRADUS_DEVICE int64_t first_not_below(int64_t low, int64_t high, uint32_t key) const {
    while (low < high) {
      int64_t middle = (low + high) / 2;
      if (keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
};

// How threads share the rows: `lanes` threads (a power of two up to 32) take `rounds` times `lanes` packs of one row.
struct Groups {
  int lanes, rounds;
  int64_t packs;                 // of a row
  WideDivide parts, candidates;  // of a row; entries, keys or chunks of one repeat
  int64_t total;
};
struct Group {
  int64_t repeat, candidate, first_pack;
};
GRADUS_DEVICE Group group_of(const Groups& groups, int64_t number) {
  Group g;
  int64_t part;
  g.repeat = groups.candidates.quotient(groups.parts.quotient(number, part), g.candidate);
  g.first_pack = part * groups.lanes * groups.rounds + int(threadIdx.x) % groups.lanes;
  return g;
}

inline Groups groups_of(int64_t repeat, int64_t candidates, int64_t packs, int lanes) {
  constexpr int64_t kPlenty = 1 << 16;  // of warps: beyond them a group takes more of a row
  Groups groups{};
  groups.lanes = lanes;
  groups.packs = packs;
  int64_t rounds = divide_up(packs, lanes);
  int64_t warps = repeat * candidates * rounds * lanes / 32;
  groups.rounds = int(std::max<int64_t>(1, std::min(rounds, warps / kPlenty)));
  groups.parts = WideDivide(divide_up(rounds, groups.rounds));
  groups.candidates = WideDivide(candidates);
  groups.total = repeat * candidates * groups.parts.divisor();
  return groups;
}

template <int N, class T>
GRADUS_DEVICE void add_entries(sum_t<T> (&sum)[N], const Runs& runs, const T* src, int64_t from, int64_t to) {
  const uint32_t* entries = runs.entries + from;
  int count = int(to - from), at = 0;
  constexpr int kAtOnce = 4;  // loads under way: the additions must wait for each other, these need not
  for (; at + kAtOnce <= count; at += kAtOnce) {
    Pack<T, N> packs[kAtOnce];
    GRADUS_UNROLL
    for (int u = 0; u < kAtOnce; u++) packs[u] = load_pack<T, N>(src + entries[at + u] * runs.width);
    GRADUS_UNROLL
    for (int u = 0; u < kAtOnce; u++) {
      GRADUS_UNROLL
      for (int k = 0; k < N; k++) sum[k] += to_sum(packs[u].value[k]);
    }
  }
  for (; at < count; at++) add_row<N>(sum, src + entries[at] * runs.width);
}

// Adds the runs that are not long. Candidates are entries, of which the first of a run works, or, where targets are written, all
// keys.
template <int N, class T>
__global__ void __launch_bounds__(kRunThreads, kBlocksPerSm)
    scatter_add_kernel_runs(const T* __restrict__ src, T* __restrict__ x, Runs runs, Groups groups) {
  int64_t per_block = kRunThreads / groups.lanes;
  for (int64_t number = int64_t(blockIdx.x) * per_block + threadIdx.x / groups.lanes; number < groups.total;
       number += int64_t(gridDim.x) * per_block) {
    Group g = group_of(groups, number);
    int64_t start = g.candidate, end = start, key = g.candidate;
    if (runs.target.add) {
      key = runs.keys[start];
      if (start > 0 && runs.keys[start - 1] == key) continue;
      if (runs.is_long(start)) continue;
      end = runs.end(start, runs.limit(start));
    } else if (key != runs.target.zero_key) {
      start = end = runs.find(uint32_t(key));
      if (start < runs.count && runs.keys[start] == key) {
        if (runs.is_long(start)) continue;
        end = runs.end(start, runs.limit(start));
      }
    }
    const T* from = src + g.repeat * runs.count * runs.width;
    T* to = x + (g.repeat * runs.targets + key) * runs.width;
    for (int round = 0; round < groups.rounds; round++) {
      int64_t pack = g.first_pack + round * groups.lanes;
      if (pack >= groups.packs) break;
      sum_t<T> sum[N] = {};
      if (runs.target.add) add_row<N>(sum, to + pack * N);
      add_entries<N>(sum, runs, from + pack * N, start, end);
      store_row<N>(to + pack * N, sum);
    }
  }
}

// Long runs. A chunk is GR_SCATTER_RUN sorted entries. Pieces of a run start so many entries apart, so at most one piece that
// continues a run starts in a chunk, and one that begins a long run: two slots of scratch memory a chunk.
GRADUS_DEVICE int64_t chunk_of(int64_t at) { return at / GR_SCATTER_RUN; }

// Start of the long run that begins in a chunk, or -1. It leaves the chunk, so it holds its last entry.
GRADUS_DEVICE int64_t long_run_of(const Runs& runs, int64_t chunk) {
  int64_t first = chunk * GR_SCATTER_RUN, next = first + GR_SCATTER_RUN;
  if (next >= runs.count || runs.keys[next] != runs.keys[next - 1]) return -1;
  int64_t start = runs.find(runs.keys[next]);
  return start >= first && runs.is_long(start) && runs.keys[start] != runs.target.zero_key ? start : -1;
}

// Start of the piece in a chunk that continues a long run, or -1.
GRADUS_DEVICE int64_t continued_piece_of(const Runs& runs, int64_t chunk) {
  int64_t first = chunk * GR_SCATTER_RUN;
  uint32_t key = runs.keys[first];
  if (first == 0 || runs.keys[first - 1] != key) return -1;
  int64_t start = runs.find(key);
  int64_t piece = start + (first - start + GR_SCATTER_RUN - 1) / GR_SCATTER_RUN * GR_SCATTER_RUN;
  return piece < runs.count && runs.keys[piece] == key && key != runs.target.zero_key ? piece : -1;
}

template <int N, class T>
__global__ void __launch_bounds__(kRunThreads, kBlocksPerSm)
    scatter_add_kernel_pieces(const T* __restrict__ src, sum_t<T>* __restrict__ slots, Runs runs, Groups groups) {
  int64_t per_block = kRunThreads / groups.lanes;
  for (int64_t number = int64_t(blockIdx.x) * per_block + threadIdx.x / groups.lanes; number < groups.total;
       number += int64_t(gridDim.x) * per_block) {
    Group g = group_of(groups, number);
    int64_t pieces[2] = {continued_piece_of(runs, g.candidate), long_run_of(runs, g.candidate)};
    const T* from = src + g.repeat * runs.count * runs.width;
    int64_t chunk = g.repeat * groups.candidates.divisor() + g.candidate;
    GRADUS_UNROLL
    for (int which = 0; which < 2; which++) {
      if (pieces[which] < 0) continue;
      int64_t end = runs.end(pieces[which], runs.limit(pieces[which]));
      sum_t<T>* to = slots + (2 * chunk + which) * runs.width;
      for (int round = 0; round < groups.rounds; round++) {
        int64_t pack = g.first_pack + round * groups.lanes;
        if (pack >= groups.packs) break;
        sum_t<T> sum[N] = {};
        add_entries<N>(sum, runs, from + pack * N, pieces[which], end);
        store_sums<N>(to + pack * N, sum);
      }
    }
  }
}

// A block adds the pieces of the long run that begins in a chunk: 32 rows of threads take consecutive pieces each, and the sums
// of rows are added in order.
constexpr int kRowLanes = 8;
constexpr int kRows = kRunThreads / kRowLanes;

template <int N, class T>
__global__ void __launch_bounds__(kRunThreads)
    scatter_add_kernel_long_runs(const sum_t<T>* __restrict__ slots, T* __restrict__ x, Runs runs, Groups groups) {
  GRADUS_SHARED(sum_t<T>, row_sums, [kRows][kRowLanes][N]);
  int lane = int(threadIdx.x) % kRowLanes, row = int(threadIdx.x) / kRowLanes;
  for (int64_t number = blockIdx.x; number < groups.total; number += gridDim.x) {
    Group g = group_of(groups, number);
    int64_t start = long_run_of(runs, g.candidate);
    if (start < 0) continue;  // the whole block
    int64_t pieces = (runs.end(start, runs.count) - start + GR_SCATTER_RUN - 1) / GR_SCATTER_RUN;
    int64_t share = (pieces + kRows - 1) / kRows;
    int64_t first = row * share, last = first + share < pieces ? first + share : pieces;
    bool works = g.first_pack < groups.packs;
    const sum_t<T>* from = slots + g.repeat * groups.candidates.divisor() * 2 * runs.width + g.first_pack * N;
    sum_t<T> sum[N] = {};
    if (works) {
      for (int64_t piece = first; piece < last; piece++) {
        int64_t slot = 2 * chunk_of(start + piece * GR_SCATTER_RUN) + (piece == 0);
        add_sums<N>(sum, from + slot * runs.width);
      }
    }
    GRADUS_UNROLL
    for (int k = 0; k < N; k++) row_sums[row][lane][k] = sum[k];
    __syncthreads();  // every row's sum is there before they are added
    if (row == 0 && works) {
      T* to = x + (g.repeat * runs.targets + runs.keys[start]) * runs.width + g.first_pack * N;
      sum_t<T> all[N] = {};
      if (runs.target.add) add_row<N>(all, to);
      for (int r = 0; r < kRows && r * share < pieces; r++) {
        GRADUS_UNROLL
        for (int k = 0; k < N; k++) all[k] += row_sums[r][lane][k];
      }
      store_row<N>(to, all);
    }
    __syncthreads();  // the sums are read before the next run's overwrite them
  }
}

}  // namespace
}  // namespace gradus
