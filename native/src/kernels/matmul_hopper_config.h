// The tiles of the Hopper product, as data, and what follows from them for a type; see matmul_hopper.h.
#pragma once

#include "device/half.h"
#include "device/mma_tile.h"
#include "device/ptx/wgmma.h"

namespace gradus {

// Who computes a tile: both consumer warpgroups half of its rows each, or one all of it while the other stores the tile before.
enum class HopperSchedule { cooperative, ping_pong };

struct HopperTile {
  int m, n;
  HopperSchedule schedule;
  int stages;     // slices in flight or in use, at most
  bool cluster;   // whether pairs of blocks may share the columns that they load
  bool prepares;  // whether consumers rewrite the operands before they multiply; see matmul_hopper_prepare.h
};

// A new row is a new kernel for each type and layout; plan_hopper chooses by estimated time.
constexpr HopperTile kHopperTiles[] = {
    {128, 256, HopperSchedule::cooperative, 4, true, false},  // most arithmetic for a byte of shared memory
    {128, 128, HopperSchedule::ping_pong, 6, true, false},    // hides the epilogue, which short K is full of
    {64, 64, HopperSchedule::ping_pong, 8, false, false},     // few or small tiles
    {128, 128, HopperSchedule::cooperative, 6, true, true},   // 3xTF32, and TF32 of operands that do not lie along K
    {128, 64, HopperSchedule::cooperative, 6, false, true},
};
constexpr int kHopperTileCount = int(sizeof kHopperTiles / sizeof kHopperTiles[0]);

// Whether operands must be prepared: TF32 wgmma reads none but those along K, and 3xTF32 needs two parts of each number.
constexpr bool hopper_prepares(Multiply kind, bool along_k) {
  return kind == Multiply::tf32x3 || (kind == Multiply::tf32 && !along_k);
}

// T: the element type in memory; float is multiplied as tf32.
template <class T, Multiply Kind, int Tile>
struct HopperConfig {
  using Element = T;
  using Operand = std::conditional_t<std::is_same_v<T, float>, ptx::tf32, T>;
  static constexpr HopperTile kTile = kHopperTiles[Tile];
  static constexpr int kM = kTile.m, kN = kTile.n;
  static constexpr bool kPingPong = kTile.schedule == HopperSchedule::ping_pong, kPrepares = kTile.prepares;
  static constexpr bool kParts = Kind == Multiply::tf32x3;  // each number is the sum of two

  static constexpr int kWarpgroup = 128, kConsumers = 2, kThreads = (1 + kConsumers) * kWarpgroup;
  static constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;  // a thread; the launch gives each 168
  static constexpr int kRows = kPingPong ? kM : kM / kConsumers;           // of a consumer
  static constexpr int kBlocks = kRows / 64;                               // an instruction has 64 rows

  static constexpr int kLine = 128;                     // bytes of a row in shared memory: the width of the swizzle
  static constexpr int kWide = kLine / int(sizeof(T));  // elements of it
  static constexpr int kDepth = kWide;                  // K of a slice
  static constexpr int kStep = 32 / int(sizeof(T));     // K of an instruction
  static constexpr int kBytesA = kM * kLine, kBytesB = kN * kLine;
  static constexpr int kLoadBytes = kBytesA + kBytesB;                   // of a slice
  static constexpr int kStageBytes = (kParts ? 2 : 1) * kLoadBytes;      // the second parts lie behind the first
  static constexpr int kBoxBytes = 64 * kLine;                           // of staged results; each consumer has two
  static constexpr int kStagingBytes = 2 * kConsumers * kBoxBytes;
  static constexpr int kFit = (227 * 1024 - kStagingBytes) / (kStageBytes + 16);
  static constexpr int kStages = kTile.stages < kFit ? kTile.stages : kFit;
  static constexpr int kSharedBytes = kStages * (kStageBytes + 2 * 8) + kStagingBytes;

  static_assert(kM % 64 == 0 && kN % 64 == 0 && kN <= 256 && (kPingPong || kM % 128 == 0), "consumers have blocks of 64 rows");
  static_assert(kBlocks * kN <= 256, "sums fit in a consumer's registers");
  static_assert(kProducerRegisters + kConsumers * kConsumerRegisters <= 3 * 168, "registers are moved, not made");
  static_assert(kStages >= 2 && kSharedBytes <= 227 * 1024, "shared memory of a block on sm_90");
  static_assert(!kTile.cluster || kN % 128 == 0, "each of two blocks loads whole boxes of the columns");
  static_assert(!kPrepares || (sizeof(T) == 4 && !kPingPong), "both consumers prepare what both read");
};

}  // namespace gradus
