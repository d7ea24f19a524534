// How the lines of [outer, n, inner] along the middle axis are dealt to threads. Everything follows from the sizes, so the order
// of every sum does.
//
// inner = 1: a line is a row, read by neighbouring lanes in packs (device/rows.h). inner > 1: neighbouring threads hold
// neighbouring columns; a block of 256 threads is `width` columns times 256 / width lanes along n. Where there are few lines, n
// is cut into parts that are combined by a second kernel.
#pragma once

#include "device/rows.h"
#include "kernels/launcher.h"

namespace gradus {

constexpr int kLineThreads = 256;
// Below this many blocks a line is cut into parts, up to about twice as many blocks.
constexpr int64_t kEnoughBlocks = 512;

struct RowPlan {
  int lanes;           // per row: a power of two up to 32, or kLineThreads
  int64_t parts;       // per row
  int64_t part_packs;  // packs of a part, but the last

  int64_t rows_per_block() const { return kLineThreads / lanes; }
};

inline int power_of_two_from(int64_t n) {
  int result = 1;
  while (result < n) result *= 2;
  return result;
}

// A warp takes up to 128 packs: 4 rounds.
inline int row_lanes(int64_t packs) { return packs <= 128 ? power_of_two_from(std::min<int64_t>(packs, 32)) : kLineThreads; }

template <class T>
RowPlan plan_rows(int64_t rows, int64_t n) {
  int64_t packs = row_packs<T>(n);
  RowPlan plan{row_lanes(packs), 1, std::max<int64_t>(1, packs)};
  if (plan.lanes < kLineThreads || rows >= kEnoughBlocks) return plan;
  constexpr int64_t kLeast = 4 * kLineThreads;  // a part is worth a block from 4 rounds on
  int64_t parts = std::min(divide_up(packs, kLeast), 2 * kEnoughBlocks / std::max<int64_t>(1, rows));
  plan.part_packs = divide_up(divide_up(packs, std::max<int64_t>(1, parts)), kLineThreads) * kLineThreads;
  plan.parts = divide_up(packs, plan.part_packs);
  return plan;
}

struct ColumnPlan {
  int width;            // columns of a block, a power of two up to kLineThreads
  int64_t parts;        // of n
  int64_t part_length;  // of a part, but the last

  int height() const { return kLineThreads / width; }
};

// `columns` counts what one thread holds: a pack of columns, or one column.
inline ColumnPlan plan_columns(int64_t columns, int64_t n, int least_width) {
  ColumnPlan plan{kLineThreads, 1, std::max<int64_t>(1, n)};
  while (plan.width > 1) {
    int64_t height = plan.height();
    bool idle = plan.width / 2 >= columns && n > height;
    bool few = columns * height < 1 << 17 || n > 2048 * height;  // threads in all; or additions in a row
    if (!idle && !(few && plan.width > least_width && n >= 16 * height)) break;
    plan.width /= 2;
  }
  return plan;
}

inline ColumnPlan plan_column_parts(int64_t columns, int64_t n, int least_width) {
  ColumnPlan plan = plan_columns(columns, n, least_width);
  int64_t blocks = divide_up(std::max<int64_t>(1, columns), plan.width);
  if (blocks >= kEnoughBlocks) return plan;
  int64_t parts = std::min(divide_up(n, 8 * plan.height()), 2 * kEnoughBlocks / blocks);
  plan.part_length = divide_up(std::max<int64_t>(1, n), std::max<int64_t>(1, parts));
  plan.parts = std::max<int64_t>(1, divide_up(n, plan.part_length));
  return plan;
}

// Blocks that work on a row each or, of short rows, on several, and keep what they read in shared memory for a second pass.
struct CachedRowPlan {
  int lanes, threads, slots;
  size_t shared;

  int64_t rows_per_block() const { return threads / lanes; }
};

// `arrays` are read in packs. 96 KiB of cache fit every GPU from sm_80, twice on sm_90; long rows get a large block, so that few
// rows are in flight and what the cache does not hold is still in L2.
constexpr int kLongRowThreads = 512;
// Such blocks of a multiprocessor, to which registers are held; float64 needs more of them.
template <class T>
constexpr int kLongRowBlocks = sizeof(T) == 8 ? 1 : 2;

template <class T>
CachedRowPlan plan_cached_rows(int64_t n, int arrays) {
  constexpr int64_t kCache = 96 * 1024;
  int64_t packs = row_packs<T>(n);
  CachedRowPlan plan{row_lanes(packs), kLineThreads, 0, 0};
  if (packs > 8 * kLineThreads) plan.lanes = plan.threads = kLongRowThreads;
  int64_t slot_bytes = int64_t(plan.threads) * int64_t(sizeof(RowPack<T>)) * arrays;
  plan.slots = int(std::min(divide_up(packs, plan.lanes), kCache / slot_bytes));
  plan.shared = size_t(plan.slots * slot_bytes);
  return plan;
}

}  // namespace gradus
