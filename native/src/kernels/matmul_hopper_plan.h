// Which products the Hopper kernel takes, with which tile and in how many parts of K: decided by sizes, type and device, and,
// since TMA copies whole pieces of 16 bytes, by the alignment of A and B.
#pragma once

#include "kernels/hopper.h"
#include "kernels/matmul_hopper_config.h"
#include "kernels/matmul_plan.h"
#include "kernels/matmul_tile.h"

namespace gradus {

// A stored operand whose lines and matrices TMA finds at multiples of 16 bytes. The rules are those of cuTensorMapEncodeTiled.
inline bool tma_reaches(int64_t length, int64_t pitch, int64_t batch, int64_t stride, int bytes) {
  constexpr int64_t kReach = int64_t(1) << 40;
  if (pitch < length || pitch * bytes % 16 != 0 || pitch * bytes >= kReach) return false;
  return batch == 1 || stride == 0 || (stride > 0 && stride % pitch == 0 && stride * bytes < kReach);
}

// By sizes alone; the addresses are hopper_reads' affair.
inline bool hopper_takes(const gr_matmul_problem& p, Multiply kind, int bytes) {
  constexpr int64_t kMaxTiles = INT32_MAX / kMaxSplits;
  bool transposes_both = p.trans_a != 0 && p.trans_b == 0;  // see matmul_hopper_prepare.h
  if (kind == Multiply::simt || (kind == Multiply::tf32 && transposes_both && matmul_forced().hopper <= 0)) return false;
  if (divide_up(p.m, 64) * divide_up(p.n, 64) > kMaxTiles / p.batch) return false;
  return tma_reaches(p.trans_a != 0 ? p.m : p.k, p.lda, p.batch, p.stride_a, bytes) &&
         tma_reaches(p.trans_b != 0 ? p.k : p.n, p.ldb, p.batch, p.stride_b, bytes);
}
inline bool hopper_reads(int64_t a, int64_t b) { return (a | b) % 16 == 0; }

// Whether TMA can write C, and all that follows the product is done in registers.
template <class T>
bool hopper_writes(const MatmulArguments<T>& matmul) {
  const EpilogueParameters<T>& e = matmul.epilogue;
  bool plain = matmul.partial == nullptr && e.residual == nullptr && e.rng == nullptr && !e.accumulate;
  return plain && is_aligned(e.out, 16) && tma_reaches(matmul.n, e.pitch, matmul.batch, matmul.stride_c, int(sizeof(T)));
}

// The clocks that a product takes with tiles of one kind, alone or in clusters of two, with K in parts of so many slices. Rates are
// those of an H100; only their ratios matter.
inline double hopper_clocks(const gr_matmul_problem& p, Multiply kind, const HopperTile& tile, int cluster, int64_t splits,
                            int64_t slices) {
  constexpr double kProcessors = 132, kStart = 2000, kReduceStart = 2500, kReduceBytes = 1500;
  constexpr double kCacheBytes = 36;     // of the L2 cache, a clock and multiprocessor
  constexpr double kStored = 32;         // results a clock and multiprocessor
  // Multiply-adds a clock, of 2048 for 16-bit types and 1024 for tf32; less where shared memory is the limit.
  const double rate = kind == Multiply::tensor ? 1800 : !tile.prepares ? 900 : kind == Multiply::tf32 ? 500 : 220;
  double depth = kind == Multiply::tensor ? 64 : 32;
  double slice = std::max(tile.m * tile.n * depth / rate, (tile.m + double(tile.n) / cluster) * 128 / kCacheBytes);
  double multiply = double(slices) * slice;
  double store = tile.m * tile.n / kStored * (splits > 1 ? 2 : 1);
  double one = tile.schedule == HopperSchedule::cooperative ? multiply + store : std::max(multiply, (multiply + store) / 2);
  double units = double(divide_up(p.m, tile.m * cluster)) * double(divide_up(p.n, tile.n)) * double(p.batch) * double(splits);
  double waves = std::ceil(units / (kProcessors / cluster));
  double clocks = kStart + waves * one + store;
  if (splits > 1) clocks += kReduceStart + double(splits + 1) * 4 * double(p.batch) * double(p.m) * double(p.n) / kReduceBytes;
  return clocks;
}

// A row of the table that was measured.
struct HopperTuned {
  Multiply kind;
  bool trans_a, trans_b;
  int64_t m, n, k;
  int tile, cluster, splits;
};

static_assert(kHopperTileCount == kHopperTilesForced, "parse_forced takes them all");

// The row of a product; false where there is none, or one for tiles that cannot compute it. Sizes alone decide, so results stay
// reproducible.
template <int Rows>
bool find_tuned(const HopperTuned (&rows)[Rows], const gr_matmul_problem& p, Multiply kind, HopperTuned* found) {
  for (const HopperTuned& row : rows) {
    bool same = row.m == p.m && row.n == p.n && row.k == p.k && row.trans_a == (p.trans_a != 0) && row.trans_b == (p.trans_b != 0);
    if (!same || row.kind != kind || p.batch != 1 || row.tile < 0 || row.tile >= kHopperTileCount) continue;
    const HopperTile& tile = kHopperTiles[row.tile];
    if (tile.prepares != hopper_prepares(kind, !row.trans_a && row.trans_b) || (row.cluster != 1 && !tile.cluster)) continue;
    *found = row;
    return row.splits >= 1 && row.splits <= kMaxSplits;
  }
  return false;
}

inline bool find_tuned(const gr_matmul_problem& p, Multiply kind, HopperTuned* found) {
#define TUNED(kind, trans_a, trans_b, m, n, k, tile, cluster, splits) \
  {Multiply::kind, trans_a, trans_b, m, n, k, tile, cluster, splits},
  static constexpr HopperTuned kRows[] = {
#include "kernels/matmul_hopper_tuned.inc"
      {Multiply::simt, false, false, 0, 0, 0, 0, 1, 1},  // so that there is a row; no product is empty
  };
#undef TUNED
  return find_tuned(kRows, p, kind, found);
}

// By the cost model.
inline MatmulPlan plan_hopper(const gr_matmul_problem& p, Multiply kind, int64_t most_splits = kMaxSplits) {
  constexpr int64_t kMinSlices = 4;    // of a part
  constexpr int64_t kEnough = 4 * 132;  // tiles: more parts would but cost time, here and there
  const MatmulForced& forced = matmul_forced();
  bool prepares = hopper_prepares(kind, p.trans_a == 0 && p.trans_b != 0);
  int64_t all = divide_up(p.k, kind == Multiply::tensor ? 64 : 32);
  // A tile that cannot compute the product is not forced upon it.
  bool forces = forced.hopper > 0 && kHopperTiles[forced.hopper - 1].prepares == prepares;
  MatmulPlan best{MatmulPath::hopper, 1, int(all)};
  double least = 0;
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    if (kHopperTiles[tile].prepares != prepares || (forces && forced.hopper != tile + 1)) continue;
    int64_t tiles = divide_up(p.m, kHopperTiles[tile].m) * divide_up(p.n, kHopperTiles[tile].n) * p.batch;
    for (int cluster : {2, 1}) {
      if (cluster > 1 && !kHopperTiles[tile].cluster) continue;
      if (forced.cluster != 0 && kHopperTiles[tile].cluster && forced.cluster != cluster) continue;
      for (int64_t splits = 1; splits <= most_splits; splits = forced.splits == 0 ? splits * 2 : splits + 1) {
        if (forced.splits != 0 && splits != std::min(forced.splits, most_splits)) continue;
        int64_t slices = divide_up(all, splits);
        if (forced.splits == 0 && splits > 1 && (slices < kMinSlices || tiles * splits / 2 > kEnough)) break;
        int64_t used = divide_up(all, slices);
        double clocks = hopper_clocks(p, kind, kHopperTiles[tile], cluster, used, slices);
        if (least == 0 || clocks < least) {
          least = clocks;
          best = {MatmulPath::hopper, int(used), int(slices), tile, cluster};
        }
      }
    }
  }
  return best;
}

// By the table where it has the product.
inline MatmulPlan choose_hopper(const gr_matmul_problem& p, Multiply kind) {
  HopperTuned tuned{};
  if (matmul_forced().any() || !find_tuned(p, kind, &tuned)) return plan_hopper(p, kind);
  int64_t all = divide_up(p.k, kind == Multiply::tensor ? 64 : 32), slices = divide_up(all, tuned.splits);
  return {MatmulPath::hopper, int(divide_up(all, slices)), int(slices), tuned.tile, tuned.cluster};
}

// `hopper`: the device and the operands allow it. Products with a few rows or columns are bound by memory and need no tensor cores.
inline MatmulPlan plan_for(const gr_matmul_problem& p, Multiply kind, int bytes, bool hopper) {
  const MatmulForced& forced = matmul_forced();
  bool portable = forced.hopper < 0 || (forced.hopper == 0 && (forced.tile != 0 || forced.splits != 0));
  if (hopper && !portable && p.k > 0 && hopper_takes(p, kind, bytes)) {
    if (forced.hopper > 0) return choose_hopper(p, kind);
    MatmulPlan plan = plan_matmul(p, kind, bytes);
    return plan.path == MatmulPath::large || plan.path == MatmulPath::small ? choose_hopper(p, kind) : plan;
  }
  return plan_matmul(p, kind, bytes);
}

}  // namespace gradus
