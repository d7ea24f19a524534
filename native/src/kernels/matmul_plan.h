// Which portable kernel computes a product, and in how many parts: decided by sizes alone, so that results are reproducible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "device/mma_pipeline.h"
#include "gradus/matmul.h"
#include "kernels/launcher.h"

namespace gradus {

// Sizes and pitches with the defaults filled in.
struct MatmulSizes {
  gr_matmul_problem p;
  bool valid;

  explicit MatmulSizes(const gr_matmul_problem& problem) : p(problem) {
    constexpr int64_t kLimit = INT32_MAX - 1024;  // indices of rows, columns and depth are 32 bits wide
    valid = true;
    for (int64_t extent : {p.batch, p.m, p.n, p.k}) valid = valid && extent >= 0 && extent <= kLimit;
    if (p.lda == 0) p.lda = p.trans_a != 0 ? p.m : p.k;
    if (p.ldb == 0) p.ldb = p.trans_b != 0 ? p.k : p.n;
    if (p.ldc == 0) p.ldc = p.n;
    if (p.stride_c == 0) p.stride_c = p.m * p.ldc;
  }
  bool empty() const { return p.batch == 0 || p.m == 0 || p.n == 0; }
};

enum class MatmulPath { zeros, vector_a, vector_b, large, small, hopper };

// `per_split`: slices of K in a part, or for the vector paths elements of K. `tile`, `cluster`: of the Hopper kernel, see
// matmul_hopper_plan.h.
struct MatmulPlan {
  MatmulPath path;
  int splits, per_split;
  int tile = 0, cluster = 1;
};

// Of the kernels for one kind of product. Rates are fused multiply-adds a clock and multiprocessor, of the order of what sm_80
// to sm_90 reach; only their ratio to the overheads matters.
struct TileRates {
  double rate;
  int depth;          // of a slice
  int large, small;   // edge of a tile, 0 for none
  int blocks_large, blocks_small;
};

inline TileRates tile_rates(Multiply kind, bool float64) {
  if (float64) return {64, 8, 0, 64, 0, 2};
  switch (kind) {
    case Multiply::tensor: return {1200, 32, 128, 64, 2, 3};
    case Multiply::tf32: return {600, 16, 128, 64, 2, 3};
    case Multiply::tf32x3: return {200, 16, 128, 64, 1, 3};
    default: return {128, 16, 128, 64, 2, 3};
  }
}

constexpr int kMaxVectorWidth = 4;
constexpr int64_t kMaxSplits = 64;
constexpr int kHopperTilesForced = 5;

// Takes the choice of this thread's plans away, for tests and measurements: the edge of the tiles, where there is such a kernel,
// and the parts of K, at most kMaxSplits; the Hopper kernel's tile, counted from 1, and the blocks of a cluster, where the device
// and the operands allow it, or -1 for never. 0 leaves the choice; `tile` or `splits` without `hopper` is a portable kernel.
struct MatmulForced {
  int64_t tile = 0, splits = 0;
  int hopper = 0, cluster = 0;

  bool any() const { return tile != 0 || splits != 0 || hopper != 0 || cluster != 0; }
};

// TILE,CLUSTER,SPLITS of the Hopper kernel; nothing is forced where a number is missing or out of range.
inline MatmulForced parse_forced(const char* text) {
  int tile = 0, cluster = 0, splits = 0;
  if (text == nullptr || std::sscanf(text, "%d,%d,%d", &tile, &cluster, &splits) != 3) return {};
  if (tile < 1 || tile > kHopperTilesForced || cluster < 0 || cluster > 2 || splits < 0 || splits > kMaxSplits) return {};
  return {0, splits, tile, cluster};
}

// `gradus bench tune` forces its choices upon processes through the environment.
inline MatmulForced& matmul_forced() {
  static thread_local MatmulForced forced = parse_forced(std::getenv("GRADUS_MATMUL_HOPPER"));
  return forced;
}

// The clocks that tiles of one size take with K in so many parts.
inline double tile_clocks(const gr_matmul_problem& p, const TileRates& rates, bool large, int64_t splits, int64_t depth) {
  constexpr double kProcessors = 132, kStart = 1500, kReduceStart = 2500, kReduceBytes = 1500;
  int edge = large ? rates.large : rates.small;
  int resident = large ? rates.blocks_large : rates.blocks_small;
  double efficiency = large ? 0.85 : 0.6;  // small tiles read each operand twice as often
  double blocks = double(divide_up(p.m, edge)) * double(divide_up(p.n, edge)) * double(p.batch) * double(splits);
  double together = std::min<double>(resident, std::max(1.0, blocks / kProcessors));
  double rate = rates.rate * efficiency * std::min(1 / together, 0.7);  // one block does not keep a multiprocessor busy
  double waves = std::max(1.0, double(int64_t((blocks - 1) / (kProcessors * resident)) + 1));
  double clocks = waves * (double(edge) * edge * double(depth) / rate + kStart);
  if (splits > 1) clocks += kReduceStart + double(splits + 1) * 4 * double(p.batch) * double(p.m) * double(p.n) / kReduceBytes;
  return clocks;
}

inline MatmulPlan plan_tiles(const gr_matmul_problem& p, const TileRates& rates) {
  constexpr int64_t kMinDepth = 128;  // of a part
  int64_t slices = divide_up(p.k, rates.depth);
  MatmulPlan best{MatmulPath::small, 1, int(slices)};
  double least = 0;
  const MatmulForced& forced = matmul_forced();
  bool has_large = rates.large != 0 && (p.trans_a == 0 || p.trans_b == 0);
  for (bool large : {true, false}) {
    if (large && !has_large) continue;
    if (has_large && forced.tile != 0 && forced.tile != (large ? rates.large : rates.small)) continue;
    for (int64_t splits = 1; splits <= kMaxSplits; splits = forced.splits == 0 ? splits * 2 : splits + 1) {
      if (forced.splits != 0 && splits != forced.splits) continue;
      int64_t per_split = divide_up(slices, splits);
      if (forced.splits == 0 && splits > 1 && per_split * rates.depth < kMinDepth) break;
      int64_t used = divide_up(slices, per_split);
      double clocks = tile_clocks(p, rates, large, used, per_split * rates.depth);
      if (least == 0 || clocks < least) {
        least = clocks;
        best = {large ? MatmulPath::large : MatmulPath::small, int(used), int(per_split)};
      }
    }
  }
  return best;
}

// A few rows or columns of C: every element of the large operand is read once and used that often, so what counts is to read
// fast. Blocks of the kernels cover 32 lines that lie along K, or 512 bytes of each line that lies across.
inline MatmulPlan plan_vector(const gr_matmul_problem& p, bool large_is_a, int element_bytes) {
  constexpr int64_t kBlocks = 512, kMinAlong = 1024, kMinAcross = 128, kMultiple = 256;
  bool along_k = large_is_a ? p.trans_a == 0 : p.trans_b != 0;
  int64_t lines = large_is_a ? p.m : p.n;
  int64_t blocks = divide_up(lines, along_k ? 32 : 512 / element_bytes) * p.batch;
  int64_t splits = std::min<int64_t>({divide_up(kBlocks, blocks), divide_up(p.k, along_k ? kMinAlong : kMinAcross), kMaxSplits});
  int64_t per_split = divide_up(divide_up(p.k, splits), kMultiple) * kMultiple;
  return {large_is_a ? MatmulPath::vector_a : MatmulPath::vector_b, int(divide_up(p.k, per_split)), int(per_split)};
}

inline MatmulPlan plan_matmul(const gr_matmul_problem& p, Multiply kind, int element_bytes) {
  constexpr int64_t kWorthwhile = 1 << 16;  // elements of the large operand: the vector paths take two launches
  if (p.k == 0) return {MatmulPath::zeros, 0, 0};
  if (matmul_forced().tile != 0 || matmul_forced().splits != 0) return plan_tiles(p, tile_rates(kind, element_bytes == 8));
  if (p.n <= kMaxVectorWidth && p.m * p.k >= kWorthwhile) return plan_vector(p, true, element_bytes);
  if (p.m <= kMaxVectorWidth && p.n * p.k >= kWorthwhile) return plan_vector(p, false, element_bytes);
  return plan_tiles(p, tile_rates(kind, element_bytes == 8));
}

// Sums of parts go through scratch; the vector paths always do, the tiles where there are several.
inline bool uses_scratch(const MatmulPlan& plan) {
  return plan.path == MatmulPath::vector_a || plan.path == MatmulPath::vector_b || plan.splits > 1;
}

}  // namespace gradus
