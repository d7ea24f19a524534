// The main loop of the Hopper product: a ring of stages in shared memory, which one thread fills by TMA and two consumer
// warpgroups multiply from by wgmma.
//
// A stage holds a slice of K of A and of B in lines of 128 bytes, swizzled: operands stored along K as lines of a row each, others
// as boxes of 64 columns, in which a line is 64 columns of one k. Each stage has two mbarriers:
//   full    the copies of the slice have landed: the producer's arrival and the bytes of all of its boxes
//   empty   every consumer warp that reads the stage is done with it, those of the peer too where blocks share what they load
//
// In a cluster of two, both blocks need the same columns of B. Each loads half of them and sends it to both (multicast), which
// takes a quarter to a half of the L2 cache's traffic away. A block may write to its peer's stage only after the peer's consumers
// are done with it: hence the arrivals of both at both empty barriers.
//
// Hazards
//   copies overwrite a stage that is still read          the producer waits for empty
//   wgmma reads what has not landed                      consumers wait for full
//   a stage is given back while a wgmma reads it         it is given back after wgmma_wait has left one later group in flight
//   a peer's copies or arrivals meet a block that is gone, or barriers that are not initialised: cluster_sync at both ends
#pragma once

#include "device/grid.h"
#include "device/math.h"
#include "device/ptx/barrier.h"
#include "device/ptx/fence.h"
#include "device/ptx/mbarrier.h"
#include "device/ptx/registers.h"
#include "device/ptx/tma.h"
#include "device/ptx/wgmma.h"
#include "kernels/hopper.h"
#include "kernels/matmul_hopper_config.h"
#include "kernels/matmul_hopper_order.h"

#if GRADUS_SM90A

namespace gradus {

// Where things lie in the block's shared memory.
template <class Config>
class HopperShared {
 public:
  GRADUS_DEVICE explicit HopperShared(unsigned char* base) : base_(base) {}
  GRADUS_DEVICE unsigned char* stage_a(int stage) const { return base_ + stage * Config::kStageBytes; }
  GRADUS_DEVICE unsigned char* stage_b(int stage) const { return stage_a(stage) + Config::kBytesA; }
  GRADUS_DEVICE unsigned char* box(int consumer, int i) const { return base_ + kBoxes + (2 * consumer + i) * Config::kBoxBytes; }
  GRADUS_DEVICE uint64_t* full(int stage) const { return barriers() + stage; }
  GRADUS_DEVICE uint64_t* empty(int stage) const { return barriers() + Config::kStages + stage; }

 private:
  static constexpr int kBoxes = Config::kStages * Config::kStageBytes;
  GRADUS_DEVICE uint64_t* barriers() const {
    return reinterpret_cast<uint64_t*>(base_ + kBoxes + Config::kStagingBytes);
  }
  unsigned char* base_;
};

// By one thread, before anyone uses the ring.
template <class Config>
GRADUS_DEVICE void ring_init(const HopperShared<Config>& shared, int cluster) {
  constexpr int kReaders = 4 * (Config::kPingPong ? 1 : Config::kConsumers);  // warps that read a stage
  for (int stage = 0; stage < Config::kStages; stage++) {
    ptx::mbarrier_init(shared.full(stage), 1);
    ptx::mbarrier_init(shared.empty(stage), unsigned(kReaders * cluster));
  }
  ptx::fence_mbarrier_init();
}

// What a block loads of what its cluster shares: part `part` of `parts`, for the blocks `ranks`, or with none for itself alone.
struct HopperShare {
  int part, parts;
  uint16_t ranks;
};

GRADUS_DEVICE void load_box(unsigned char* to, const tensor_map& map, int x, int y, int z, uint64_t* full, uint16_t ranks) {
  if (ranks == 0) {
    ptx::tma_load_3d(to, map, x, y, z, full);
  } else {
    ptx::tma_load_3d_multicast(to, map, x, y, z, full, ranks);
  }
}

// The copies of an operand that is a matrix: lines [first, first + kLines) of K, or boxes of 64 columns.
template <class Config, Major kMajor, int kLines>
struct HopperCopy {
  static constexpr int kBoxes = kMajor == Major::k ? 1 : kLines / Config::kWide;

  static GRADUS_DEVICE void load(unsigned char* to, const tensor_map& map, int line, int slice, int batch, uint64_t* full,
                                 const HopperShare& share) {
    if constexpr (kMajor == Major::k) {
      int lines = kLines / share.parts * share.part;
      load_box(to + lines * Config::kLine, map, slice * Config::kDepth, line + lines, batch, full, share.ranks);
    } else {
      constexpr int kBytes = Config::kDepth * Config::kLine;
      for (int i = kBoxes / share.parts * share.part; i < kBoxes / share.parts * (share.part + 1); i++) {
        load_box(to + i * kBytes, map, line + i * Config::kWide, slice * Config::kDepth, batch, full, share.ranks);
      }
    }
  }
};

// The producer thread: every slice of every unit of its cluster, in the order in which the consumers take them. `Loads` knows the
// operands: begin(unit, row, column) names the block's tile, load(slice, to_a, to_b, full, share) starts the copies of a slice,
// Config::kLoadBytes in all, of which the blocks of a cluster share those of B.
template <class Config, class Loads>
GRADUS_DEVICE void produce(const HopperShared<Config>& shared, const HopperOrder& order, Loads& loads) {
  bool shares = Config::kTile.cluster && order.cluster > 1;
  int rank = shares ? int(ptx::cluster_rank()) : 0;
  HopperShare share{rank, shares ? 2 : 1, uint16_t(shares ? 3 : 0)};
  int step = int(gridDim.x) / order.cluster;
  RingPosition<Config::kStages> at;
  for (int index = int(blockIdx.x) / order.cluster; index < order.units; index += step) {
    HopperUnit unit = unit_at(order, index);
    loads.begin(unit, (unit.row * order.cluster + rank) * Config::kM, unit.column * Config::kN);
    for (int slice = unit.first; slice < unit.last; slice++) {
      ptx::mbarrier_wait(shared.empty(at.stage), at.round ^ 1);  // the first round waits for nothing
      uint64_t* full = shared.full(at.stage);
      ptx::mbarrier_arrive_expect_tx(full, Config::kLoadBytes);
      loads.load(slice, shared.stage_a(at.stage), shared.stage_b(at.stage), full, share);
      at.advance();
    }
  }
}

// The calling warp is done with a stage.
template <class Config>
GRADUS_DEVICE void give_back(const HopperShared<Config>& shared, int stage, int cluster) {
  auto lane = threadIdx.x % 32;
  if (Config::kTile.cluster && cluster > 1) {
    if (lane < unsigned(cluster)) ptx::mbarrier_arrive_remote(shared.empty(stage), lane);
  } else if (lane == 0) {
    ptx::mbarrier_arrive(shared.empty(stage));
  }
}

// How wgmma finds the slices of an operand: a descriptor for its first rows, and what to add to it.
template <class Config, Major kMajor>
struct HopperOperand {
  static constexpr uint32_t kBox = Config::kDepth * Config::kLine;  // 64 columns, where K is not contiguous
  // From 8 lines to the next 8; and from 64 columns to the next.
  static GRADUS_DEVICE uint64_t descriptor(const unsigned char* base) {
    constexpr uint32_t kLeading = kMajor == Major::k ? 16 : kBox;
    return ptx::matrix_descriptor(ptx::shared_address(base), kLeading, 8 * Config::kLine, ptx::MatrixSwizzle::bytes128);
  }
  // Descriptors count in 16 bytes.
  static constexpr uint64_t kStage = Config::kStageBytes / 16;
  static constexpr uint64_t kRows64 = kMajor == Major::k ? 64 * Config::kLine / 16 : kBox / 16;
  static constexpr uint64_t kStep = kMajor == Major::k ? 32 / 16 : Config::kStep * Config::kLine / 16;
};

// What consumers do with a slice that has landed before they multiply it: nothing.
struct NoPrologue {
  template <class Config>
  GRADUS_DEVICE void operator()(const HopperShared<Config>&, int, int) const {}
};

// A consumer warpgroup adds the products of `slices` slices, from `at` on, to nothing. One group of wgmma stays in flight while
// the next is issued; all are done when this returns. prologue(shared, stage, i) may rewrite slice i, for wgmma to see.
template <class Config, Major kMajorA, Major kMajorB, class Prologue>
GRADUS_DEVICE void multiply_slices(const HopperShared<Config>& shared, int row, int slices, int cluster,
                                   RingPosition<Config::kStages>& at, float (&sum)[Config::kBlocks][Config::kN / 2],
                                   const Prologue& prologue) {
  using A = HopperOperand<Config, kMajorA>;
  using B = HopperOperand<Config, kMajorB>;
  uint64_t first_a = A::descriptor(shared.stage_a(0)) + uint64_t(row / 64) * A::kRows64;
  uint64_t first_b = B::descriptor(shared.stage_b(0));
  int before = 0;
  GRADUS_ROLLED
  for (int i = 0; i < slices; i++) {
    ptx::mbarrier_wait(shared.full(at.stage), at.round);
    prologue(shared, at.stage, i);
    uint64_t a = first_a + uint64_t(at.stage) * A::kStage;
    uint64_t b = first_b + uint64_t(at.stage) * B::kStage;
    ptx::wgmma_fence();
    GRADUS_UNROLL
    for (int step = 0; step < Config::kDepth / Config::kStep; step++) {
      GRADUS_UNROLL
      for (int block = 0; block < Config::kBlocks; block++) {
        ptx::wgmma<Config::kN, typename Config::Operand, kMajorA == Major::mn, kMajorB == Major::mn>(
            sum[block], a + uint64_t(block) * A::kRows64 + uint64_t(step) * A::kStep, b + uint64_t(step) * B::kStep, i + step > 0);
      }
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();  // the slice before has been multiplied
    if (i > 0) give_back(shared, before, cluster);
    before = at.stage;
    at.advance();
  }
  ptx::wgmma_wait<0>();
  GRADUS_UNROLL
  for (int block = 0; block < Config::kBlocks; block++) ptx::wgmma_results(sum[block]);
  give_back(shared, before, cluster);
}

}  // namespace gradus

#endif
