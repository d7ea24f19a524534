// The main loop for float32 operands that wgmma cannot read as they come: between the copies and the multiplication, the consumers
// rewrite each slice in place, while the tensor cores work on the slice before.
//
// - Operands that do not lie along K arrive as boxes of 32 lines (K) of 32 columns and are transposed: a warp has a box of 4 KB for
//   itself, which holds the same 32 x 32 numbers afterwards, as 32 rows along K.
// - 3xTF32: each number x becomes big = tf32(x) in its place and small = tf32(x - big) in the stage's second half. A slice is three
//   products, small A big B, big A small B, big A big B, in this order; small small is left out. Source: see mma_pipeline.h.
//
// Traffic in shared memory, a slice of 128 x 128 x 32: 64 KB written and read to prepare both operands (96 KB for 3xTF32), beside
// 32 KB from TMA and 48 KB for each product. At 128 bytes a clock that bounds TF32 with one operand to transpose at about 0.6 of
// the tensor cores' rate and with two at 0.45, 3xTF32 at 0.7 of its own. With two, the portable kernel should do no worse and
// keeps the product (hopper_takes). These are estimates: nothing of it has been measured.
//
// Transposing moves 4 x 4 numbers a step: four reads and four writes of 16 bytes. Lane l of eight takes columns 4 l and lines
// 4 (l ^ r): both ways the eight accesses fall into different banks.
//
// Hazards
//   a lane overwrites what another has not read yet             __syncwarp between reading a box and writing it
//   wgmma reads what is not written yet, or not visible to it   proxy fence of every writer, then the barrier of both consumers
#pragma once

#include "device/ptx/mma.h"
#include "device/vector.h"
#include "kernels/matmul_hopper_pipeline.h"

#if GRADUS_SM90A

namespace gradus {

constexpr int kPreparedBarrier = 5;

template <class Config, Major kMajor>
class HopperPreparation {
 public:
  static constexpr bool kNeeded = Config::kParts || kMajor == Major::mn;

  // The box of 32 x 32 numbers at `box`, by the calling warp; second parts go to `small`.
  static GRADUS_DEVICE void run(unsigned char* box, unsigned char* small) {
    int lane = int(threadIdx.x) % 32;
    Pack<float, 4> held[8];  // two blocks of 4 x 4
    GRADUS_UNROLL
    for (int b = 0; b < 2; b++) {
      GRADUS_UNROLL
      for (int i = 0; i < 4; i++) held[4 * b + i] = load_pack<float, 4>(at(box, line(lane, b) + i, chunk(lane, b)));
    }
    __syncwarp();  // the box was read by every lane before it is overwritten
    GRADUS_UNROLL
    for (int b = 0; b < 2; b++) {
      GRADUS_UNROLL
      for (int i = 0; i < 4; i++) {
        Pack<float, 4> big;
        GRADUS_UNROLL
        for (int q = 0; q < 4; q++) big.value[q] = kMajor == Major::mn ? held[4 * b + q].value[i] : held[4 * b + i].value[q];
        int to_line = kMajor == Major::mn ? 4 * chunk(lane, b) + i : line(lane, b) + i;
        int to_chunk = kMajor == Major::mn ? line(lane, b) / 4 : chunk(lane, b);
        if constexpr (Config::kParts) {
          Pack<float, 4> rest;
          GRADUS_UNROLL
          for (int q = 0; q < 4; q++) {
            float x = big.value[q];
            big.value[q] = __uint_as_float(ptx::to_tf32(x));
            rest.value[q] = __uint_as_float(ptx::to_tf32(x - big.value[q]));
          }
          store_pack(at(small, to_line, to_chunk), rest);
        }
        store_pack(at(box, to_line, to_chunk), big);
      }
    }
  }

 private:
  static GRADUS_DEVICE int chunk(int lane, int) { return lane % 8; }
  static GRADUS_DEVICE int line(int lane, int b) { return 4 * (lane % 8 ^ (lane / 8 + 4 * b)); }
  static GRADUS_DEVICE float* at(unsigned char* box, int line, int chunk) {
    return reinterpret_cast<float*>(box + line * Config::kLine + ((chunk ^ (line & 7)) << 4));
  }
};

// As multiply_slices (matmul_hopper_pipeline.h), for both consumers together.
template <class Config, Major kMajorA, Major kMajorB>
GRADUS_DEVICE void multiply_prepared_slices(const HopperShared<Config>& shared, int row, int slices, int cluster,
                                            RingPosition<Config::kStages>& at,
                                            float (&sum)[Config::kBlocks][Config::kN / 2]) {
  constexpr int kBox = 32 * Config::kLine;
  using A = HopperPreparation<Config, kMajorA>;
  using B = HopperPreparation<Config, kMajorB>;
  constexpr int kBoxesA = Config::kM / 32, kBoxes = kBoxesA + Config::kN / 32, kWarps = Config::kConsumers * 4;
  constexpr int kFirst = A::kNeeded ? 0 : kBoxesA, kLast = B::kNeeded ? kBoxes : kBoxesA;
  constexpr uint64_t kSmall = Config::kLoadBytes / 16;  // from a number's first part to its second, in a descriptor
  using Operand = HopperOperand<Config, Major::k>;
  uint64_t first_a = Operand::descriptor(shared.stage_a(0)) + uint64_t(row / 64) * Operand::kRows64;
  uint64_t first_b = Operand::descriptor(shared.stage_b(0));
  int warp = int(threadIdx.x) / 32 - 4;
  int before = 0;
  GRADUS_ROLLED
  for (int i = 0; i < slices; i++) {
    ptx::mbarrier_wait(shared.full(at.stage), at.round);
    unsigned char* stage = shared.stage_a(at.stage);
    GRADUS_ROLLED
    for (int box = kFirst + warp; box < kLast; box += kWarps) {
      unsigned char* numbers = stage + box * kBox;
      if (box < kBoxesA) {
        A::run(numbers, numbers + Config::kLoadBytes);
      } else {
        B::run(numbers, numbers + Config::kLoadBytes);
      }
    }
    ptx::fence_proxy_async();
    ptx::barrier_sync(kPreparedBarrier, Config::kConsumers * Config::kWarpgroup);  // the slice is prepared, and visible to wgmma
    uint64_t a = first_a + uint64_t(at.stage) * Operand::kStage;
    uint64_t b = first_b + uint64_t(at.stage) * Operand::kStage;
    ptx::wgmma_fence();
    GRADUS_UNROLL
    for (int product = Config::kParts ? 0 : 2; product < 3; product++) {
      uint64_t part_a = a + (product == 0 ? kSmall : 0), part_b = b + (product == 1 ? kSmall : 0);
      GRADUS_UNROLL
      for (int step = 0; step < Config::kDepth / Config::kStep; step++) {
        GRADUS_UNROLL
        for (int block = 0; block < Config::kBlocks; block++) {
          bool adds = i > 0 || step > 0 || product > (Config::kParts ? 0 : 2);
          uint64_t of_a = part_a + uint64_t(block) * Operand::kRows64 + uint64_t(step) * Operand::kStep;
          ptx::wgmma<Config::kN, ptx::tf32>(sum[block], of_a, part_b + uint64_t(step) * Operand::kStep, adds);
        }
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
