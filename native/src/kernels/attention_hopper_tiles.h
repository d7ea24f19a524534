// What the Hopper attention kernels of both directions are made of: tiles of operands as TMA brings them and wgmma reads them, the
// order in which persistent blocks take tiles, masks.
//
// A tile of rows lies in shared memory as panels of 64 columns, each a box of TMA: a line of 128 bytes for each row, swizzled.
// wgmma reads it in two ways: its rows as M or N, summing over the columns (K-major), or its columns as N, summing over the rows
// (MN-major).
#pragma once

#include "device/block.h"
#include "device/ptx/barrier.h"
#include "device/ptx/exp2.h"
#include "device/ptx/fence.h"
#include "device/ptx/mbarrier.h"
#include "device/ptx/registers.h"
#include "device/ptx/tma.h"
#include "device/ptx/wgmma.h"
#include "kernels/attention_hopper.h"
#include "kernels/hopper.h"

namespace gradus {

constexpr int kWarpgroup = 128, kConsumers = 2, kHopperThreads = (1 + kConsumers) * kWarpgroup;
constexpr int kProducerRegisters = 24, kConsumerRegisters = 240;  // a thread; the launch gives each 168
constexpr int kConsumerBarrier = 1, kTurnBarrier = 3;  // named barriers of the first consumer; the next has the next number
static_assert(kProducerRegisters + kConsumers * kConsumerRegisters <= 3 * 168, "registers are moved, not made");

template <int Rows, int Dim>
struct HopperTileOf {
  static constexpr int kPanels = Dim / 64;
  static constexpr int kPanelBytes = Rows * 128, kBytes = kPanels * kPanelBytes;
  static_assert(Dim % 64 == 0 && Rows % 8 == 0 && Rows <= 256, "whole panels, of whole periods of the swizzle, each a box of TMA");

#if GRADUS_SM90A
  // How wgmma finds rows from `row` on, a multiple of 8, summing over columns; and columns, summing over rows: the lower halves of
  // matrix descriptors. The upper half is the same for all and known to the compiler, which saves registers.
  static GRADUS_DEVICE uint32_t along_columns(const unsigned char* tile, int row = 0) {
    return uint32_t(ptx::matrix_descriptor(ptx::shared_address(tile + row * 128), 16, 0, ptx::MatrixSwizzle::none));
  }
  static GRADUS_DEVICE uint32_t along_rows(const unsigned char* tile) {
    return uint32_t(ptx::matrix_descriptor(ptx::shared_address(tile), kPanelBytes, 0, ptx::MatrixSwizzle::none));
  }
  // Their 16 columns, or rows, number `step`.
  static GRADUS_DEVICE uint64_t columns16(uint32_t lower, int step) {
    return descriptor(lower + uint32_t(step / 4 * kPanelBytes + step % 4 * 32) / 16);
  }
  static GRADUS_DEVICE uint64_t rows16(uint32_t lower, int step) { return descriptor(lower + uint32_t(step * 16 * 128) / 16); }

 private:
  static GRADUS_DEVICE uint64_t descriptor(uint32_t lower) {
    constexpr uint32_t kEightRows = 8 * 128;
    return ptx::matrix_descriptor(0, 0, kEightRows, ptx::MatrixSwizzle::bytes128) | lower;
  }
#endif
};

// Who works on what: persistent blocks. A unit is a tile of rows of one head. Heads come in sections whose other operands fit in
// the L2 cache; within a section the tile that takes longest of every head comes first, then the next. Blocks take units in turn,
// every other round from the last block to the first, so that none always gets the longer ones.
struct AttentionOrder {
  int tiles;    // of a head
  int heads;    // of all batches
  int section;  // heads
  int units;
};

struct AttentionUnit {
  int rank;  // 0: the tile that takes longest
  int head;  // of all batches
};

constexpr int64_t kSectionBytes = 24 << 20;  // of 50 MB of L2 cache; the rest is for what streams by

inline AttentionOrder attention_order(int64_t tiles, int64_t heads, int64_t group, int64_t bytes) {
  int64_t fit = std::max<int64_t>(1, kSectionBytes / std::max<int64_t>(1, bytes)) * group;
  return {int(tiles), int(heads), int(std::min(heads, fit)), int(tiles * heads)};
}

// The unit of a block in a round, or -1 where there are no more.
GRADUS_DEVICE int attention_turn(const AttentionOrder& order, int round) {
  int blocks = int(gridDim.x), block = int(blockIdx.x);
  int64_t index = int64_t(round) * blocks + (round % 2 != 0 ? blocks - 1 - block : block);
  return index < order.units ? int(index) : -1;
}

GRADUS_DEVICE AttentionUnit attention_unit(const AttentionOrder& order, int index) {
  int section = index / (order.section * order.tiles), within = index % (order.section * order.tiles);
  int first = section * order.section;
  int heads = min(order.section, order.heads - first);
  return {within / heads, first + within % heads};
}

#if GRADUS_SM90A

// Starts the copy of a tile by TMA, by one thread.
template <int Rows, int Dim>
GRADUS_DEVICE void load_tile(unsigned char* tile, const tensor_map& map, const AttentionAxes& axes, int row, int head, int batch,
                             uint64_t* full) {
  using Tile = HopperTileOf<Rows, Dim>;
  int y = axes.coordinate(0, row, head, batch), z = axes.coordinate(1, row, head, batch), w = axes.coordinate(2, row, head, batch);
  GRADUS_UNROLL
  for (int panel = 0; panel < Tile::kPanels; panel++) {
    ptx::tma_load_4d(tile + panel * Tile::kPanelBytes, map, 64 * panel, y, z, w, full);
  }
}

// The calling warp is done with what an mbarrier guards.
GRADUS_DEVICE void warp_arrives(uint64_t* empty) {
  if (threadIdx.x % 32 == 0) ptx::mbarrier_arrive(empty);
}

// Makes -inf of what the warp's 16 rows do not see among the 2 kSums columns from `column` on.
template <bool Transposed, int kSums>
GRADUS_DEVICE void mask_sums(float (&s)[kSums], const AttentionShape& shape, int warp_row, int column) {
  if (shape.sees_all<Transposed>(warp_row, 16, column, 2 * kSums)) return;
  int lane = lane_index();
  GRADUS_UNROLL
  for (int half = 0; half < 2; half++) {
    AttentionRange seen = shape.seen<Transposed>(warp_row + 8 * half + lane / 4);
    GRADUS_UNROLL
    for (int n = 0; n < kSums / 4; n++) {
      GRADUS_UNROLL
      for (int i = 0; i < 2; i++) {
        int at = column + 8 * n + lane % 4 * 2 + i;
        if (at < seen.first || at > seen.last) s[4 * n + 2 * half + i] = -INFINITY;
      }
    }
  }
}

// Columns [16 step, 16 step + 16) of the sums, rounded, as A of a product over them: nothing moves between lanes.
template <class T, int kSums>
GRADUS_DEVICE void pack_sums(uint32_t (&a)[kSums / 8][4], const float (&s)[kSums]) {
  GRADUS_UNROLL
  for (int step = 0; step < kSums / 8; step++) {
    GRADUS_UNROLL
    for (int i = 0; i < 4; i++) a[step][i] = pack_pair<T>(s[8 * step + 2 * i], s[8 * step + 2 * i + 1]);
  }
}

// A consumer's results on their way out: 64 rows in panels of shared memory of its own, which TMA copies behind the next tile's
// work and cuts off where the operand ends.
//
// Hazards
//   TMA reads what is not written yet, or not visible to it     proxy fence of every writer, then the warpgroup's barrier
//   a panel is overwritten while TMA reads it                   the leader waits for the copies before, then the barrier
template <class T, int Dim>
class HopperStore {
 public:
  using Tile = HopperTileOf<64, Dim>;

  GRADUS_DEVICE HopperStore(unsigned char* panels, int consumer) : panels_(panels), barrier_(kConsumerBarrier + consumer) {}

  GRADUS_DEVICE void run(const float (&sum)[Dim / 2], const tensor_map& map, const AttentionAxes& axes, int row, int head,
                         int batch) {
    if (leader()) ptx::bulk_wait_read<0>();
    ptx::barrier_sync(barrier_, kWarpgroup);  // the copies before have read the panels
    GRADUS_UNROLL
    for (int panel = 0; panel < Tile::kPanels; panel++) stage_rounded<T>(panels_ + panel * Tile::kPanelBytes, sum, panel);
    ptx::fence_proxy_async();
    ptx::barrier_sync(barrier_, kWarpgroup);  // the panels are complete, and visible to TMA
    if (leader()) {
      int y = axes.coordinate(0, row, head, batch);
      int z = axes.coordinate(1, row, head, batch), w = axes.coordinate(2, row, head, batch);
      GRADUS_UNROLL
      for (int panel = 0; panel < Tile::kPanels; panel++) {
        ptx::tma_store_4d(map, panels_ + panel * Tile::kPanelBytes, 64 * panel, y, z, w);
      }
      ptx::bulk_commit();
    }
  }

  // Before the end: TMA still reads the panels.
  GRADUS_DEVICE void finish() const {
    if (leader()) ptx::bulk_wait_read<0>();
  }

 private:
  static GRADUS_DEVICE bool leader() { return threadIdx.x % kWarpgroup == 0; }
  unsigned char* panels_;
  int barrier_;
};

#endif

// --- launchers

// An operand in boxes of 64 columns by `box_rows` rows of one head.
template <class T>
std::string attention_map(tensor_map* map, AttentionAxes* axes, const gr_attention_problem& p, const T* base,
                          const gr_attention_strides& strides, bool of_keys, int box_rows) {
  constexpr TensorMapType kType = std::is_same_v<T, bfloat16> ? TensorMapType::bf16 : TensorMapType::f16;
  const int64_t stride[3] = {strides.row, strides.head, strides.batch};
  const int64_t extent[3] = {of_keys ? p.keys : p.queries, of_keys ? p.kv_heads : p.heads, p.batch};
  if (!attention_axes(p, strides, of_keys, axes)) return "the strides do not suit TMA";
  uint64_t extents[4] = {uint64_t(p.dim)}, pitches[3];
  uint32_t box[4] = {64};
  uint64_t last = uint64_t(p.dim) * sizeof(T);
  for (int i = 0; i < 3; i++) {
    int axis = axes->axis[i];
    extents[i + 1] = uint64_t(extent[axis]);
    if (extent[axis] != 1) last = uint64_t(stride[axis]) * sizeof(T);
    pitches[i] = last;  // that of a dimension of 1 is not used, but must be legal
    box[i + 1] = axis == 0 ? uint32_t(box_rows) : 1;
  }
  return encode_tensor_map(map, kType, 4, base, extents, pitches, box, TensorMapSwizzle::bytes128);
}

}  // namespace gradus
