// The main loop of tiled products, shared by matmul and convolution: C tile = A tile [M, K] * B tile [K, N], K in slices that
// cp.async keeps in flight through a ring of shared-memory stages.
//
//   using Config = TileConfig<bfloat16, Multiply::tensor, 128, 128, 32, 2, 2, 4>;
//   using Pipeline = TilePipeline<Config, Major::k, Major::mn>;         // A stored [m][k], B stored [k][n]
//   GRADUS_DYNAMIC_SHARED(bfloat16, shared);                            // Pipeline::kSharedBytes
//   LoaderA load_a(...);                                                // e.g. MatrixLoader<Pipeline::LayoutA, ...>
//   LoaderB load_b(...);
//   Pipeline pipeline;
//   pipeline.run(load_a, load_b, shared, first_slice, last_slice);      // accumulates slices [first, last)
//   pipeline.store(shared, row0, column0, epilogue);                    // calls epilogue(row, column, values) all over the tile
//
// A loader brings one slice of one operand, Extent x Depth elements, to shared memory:
//   fetch(T* stage, int slice)   starts the copy of elements K = slice * Depth and on: cp.async, or loads into registers;
//   finish(T* stage)             stores what fetch could only read to registers; called after some arithmetic to hide latency.
// It writes every chunk of 16 bytes of the stage, zeros outside the operand, at Layout::chunk(line, chunk); the pipeline commits,
// waits and synchronises. Slices come in ascending order. Where a loader gathers is its own affair, which makes a convolution.
//
// Lines are the contiguous runs of a stage: rows of Depth elements for Major::k, rows of Extent elements for Major::mn. Chunks
// are swizzled by line so that 16-byte copies into a stage and fragment reads from it are free of bank conflicts.
//
// An epilogue is called as epilogue(int row, int column, Accumulator (&values)[8]) with the tile's own eight consecutive columns,
// column a multiple of 8, also for rows and columns outside C, which it must skip. A thread is given the same columns for
// ascending rows of its warp's tile; neighbouring lanes have neighbouring columns.
//
// How products are formed (Multiply): `tensor` 16-bit elements by mma.m16n8k16; `tf32` float32 rounded to tf32; `tf32x3` each
// float32 split into two tf32 parts and three products, error near float32's (an infinity becomes NaN); `simt` fused multiply-add
// in the element's type. Sums are float32 (float64 for float64), in an order that the tile alone fixes.
// Source of 3xTF32: Ootomo, Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical
// peak performance", IJHPCA 36(4), 2022.
#pragma once

#include <type_traits>

#include "device/block.h"
#include "device/mma_tile.h"
#include "device/mma_warps.h"
#include "device/ptx/cp_async.h"
#include "device/warp.h"

namespace gradus {

template <class Config, Major kMajorA, Major kMajorB>
class TilePipeline {
 public:
  using T = typename Config::Element;
  using Accumulator = typename Config::Accumulator;
  using LayoutA = StageLayout<T, Config::kKind, kMajorA, Config::kM, Config::kDepth>;
  using LayoutB = StageLayout<T, Config::kKind, kMajorB, Config::kN, Config::kDepth>;
  static constexpr bool kSimt = Config::kKind == Multiply::simt;
  using Warp = std::conditional_t<kSimt, SimtWarp<Config, LayoutA, LayoutB>, TensorWarp<Config, LayoutA, LayoutB>>;
  static constexpr int kStages = Config::kStages;
  static constexpr int kStageElements = LayoutA::kElements + LayoutB::kElements;
  static_assert(LayoutA::kElements % LayoutB::kLineElements == 0 && LayoutB::kElements % LayoutA::kLineElements == 0,
                "lines start at multiples of their length, so that chunks of a line are reached by exclusive or");
  static constexpr int kStagingPitch = Config::kWarpN + 8;  // 8 words on: rows start in other banks
  static constexpr int kStagingBytes = Config::kThreads / 32 * Config::kWarpM * kStagingPitch * int(sizeof(Accumulator));
  static constexpr int kStagesBytes = kStages * kStageElements * int(sizeof(T));
  static constexpr int kSharedBytes = kStagesBytes > kStagingBytes ? kStagesBytes : kStagingBytes;

  // Adds the products of slices [first, last) to the sums. All threads of the block; shared: kSharedBytes, aligned to 128.
  template <class LoaderA, class LoaderB>
  GRADUS_DEVICE void run(LoaderA& load_a, LoaderB& load_b, T* shared, int first, int last) {
    if (first >= last) return;
    GRADUS_UNROLL
    for (int s = 0; s < kStages - 1; s++) {
      if (first + s < last) {
        fetch(load_a, load_b, shared, s, first + s);
        finish(load_a, load_b, shared, s);
      }
      ptx::cp_async_commit();  // also an empty group: the waits count groups
    }
    if constexpr (kSimt) {
      run_simt(load_a, load_b, shared, first, last);
    } else {
      run_tensor(load_a, load_b, shared, first, last);
    }
    ptx::cp_async_wait<0>();
  }

  // Hands the sums to the epilogue, by way of shared memory so that the lanes of a warp hold whole rows.
  template <class Epilogue>
  GRADUS_DEVICE void store(T* shared, int row0, int column0, Epilogue& epilogue) {
    constexpr int kRowLanes = Config::kWarpN / 8;
    int lane = int(threadIdx.x) % 32;
    auto* staging = reinterpret_cast<Accumulator*>(shared) + int(threadIdx.x) / 32 * Config::kWarpM * kStagingPitch;
    int column = lane % kRowLanes * 8;
    __syncthreads();  // every warp has read the last stages before sums overwrite them
    warp_.stage(staging, kStagingPitch);
    __syncwarp();  // the warp tile is complete before lanes read sums of others
    GRADUS_ROLLED
    for (int row = lane / kRowLanes; row < Config::kWarpM; row += 32 / kRowLanes) {
      auto values = load_pack<Accumulator, 8>(staging + row * kStagingPitch + column);
      epilogue(row0 + Warp::m() + row, column0 + Warp::n() + column, values.value);
    }
  }

 private:
  static GRADUS_DEVICE T* stage_a(T* shared, int stage) { return shared + stage * kStageElements; }
  static GRADUS_DEVICE T* stage_b(T* shared, int stage) { return shared + stage * kStageElements + LayoutA::kElements; }

  template <class LoaderA, class LoaderB>
  static GRADUS_DEVICE void fetch(LoaderA& load_a, LoaderB& load_b, T* shared, int stage, int slice) {
    load_a.fetch(stage_a(shared, stage), slice);
    load_b.fetch(stage_b(shared, stage), slice);
  }
  template <class LoaderA, class LoaderB>
  static GRADUS_DEVICE void finish(LoaderA& load_a, LoaderB& load_b, T* shared, int stage) {
    load_a.finish(stage_a(shared, stage));
    load_b.finish(stage_b(shared, stage));
  }
  static GRADUS_DEVICE int following(int stage) { return stage + 1 == kStages ? 0 : stage + 1; }

  // The fragments of the next step are read while those of this one are multiplied, across slices too.
  template <class LoaderA, class LoaderB>
  GRADUS_DEVICE void run_tensor(LoaderA& load_a, LoaderB& load_b, T* shared, int first, int last) {
    typename Warp::Fragments fragments[2];
    ptx::cp_async_wait<kStages - 2>();
    __syncthreads();  // everybody's part of the first slice has landed
    warp_.load(fragments[0], shared, 0, 0);
    int read = 0, write = kStages - 1;
    GRADUS_ROLLED
    for (int slice = first; slice < last; slice++) {
      bool more = slice + kStages - 1 < last;
      GRADUS_UNROLL
      for (int step = 0; step < Warp::kSteps; step++) {
        if (step == Warp::kSteps - 1) {
          if (more) finish(load_a, load_b, shared, write);
          read = following(read);
          write = following(write);
          ptx::cp_async_wait<kStages - 2>();
          __syncthreads();  // the next slice has landed, and everybody has read this one, whose stage is refilled next
        }
        int next = (step + 1) % Warp::kSteps;
        if (next != 0 || slice + 1 < last) warp_.load(fragments[next % 2], shared, read * kStageElements, next);
        if (step == 0) {
          if (more) fetch(load_a, load_b, shared, write, slice + kStages - 1);
          ptx::cp_async_commit();
        }
        warp_.multiply(fragments[step % 2]);
      }
    }
  }

  template <class LoaderA, class LoaderB>
  GRADUS_DEVICE void run_simt(LoaderA& load_a, LoaderB& load_b, T* shared, int first, int last) {
    int read = 0, write = kStages - 1;
    GRADUS_ROLLED
    for (int slice = first; slice < last; slice++) {
      bool more = slice + kStages - 1 < last;
      ptx::cp_async_wait<kStages - 2>();
      __syncthreads();  // this slice has landed, and everybody has read the one before, whose stage is refilled now
      if (more) fetch(load_a, load_b, shared, write, slice + kStages - 1);
      ptx::cp_async_commit();
      GRADUS_ROLLED  // unrolled, the compiler reads further ahead than there are registers
      for (int step = 0; step < Warp::kSteps; step++) warp_.multiply(shared, read * kStageElements, step);
      if (more) finish(load_a, load_b, shared, write);
      read = following(read);
      write = following(write);
    }
  }

  Warp warp_;
};

}  // namespace gradus
