// The products of a convolution on the pipeline of device/mma_pipeline.h: a loader that gathers, and an epilogue that scatters.
#pragma once

#include "device/mma_pipeline.h"
#include "kernels/conv_rows.h"

// Depths of several lines decoded side by side would need registers that the sums have.
#if GRADUS_EMULATED
#define GRADUS_UNROLL_PAIRS
#else
#define GRADUS_UNROLL_PAIRS _Pragma("unroll 2")
#endif

namespace gradus::conv {

// Brings slices of an operand (conv_geometry.h) to a stage, `Access` elements at a time, all of which are there or not. A thread
// stays in its column of chunks, so that it decodes a position along the line once: per block for rows, per slice for depths.
template <class Layout, class Operand, int Threads, int Access>
class GatherLoader {
 public:
  using T = typename Layout::Element;
  static constexpr bool kAlongDepth = Operand::kMajor == Major::k;
  static constexpr int kPieces = Layout::kVector / Access;              // of a chunk
  static constexpr int kLineStep = Threads / Layout::kChunks;           // from one chunk of a thread to its next
  static constexpr int kCopies = Layout::kLines / kLineStep;            // chunks of a thread
  static constexpr bool kRegisters = Access * sizeof(T) < 4;            // cp.async copies no less
  static_assert(Operand::kMajor == Layout::kMajor, "the stage lies as the operand does");
  static_assert(Threads % Layout::kChunks == 0 && Layout::kLines % kLineStep == 0, "threads share the slice evenly");

  GRADUS_DEVICE GatherLoader(const Operand& operand, int row0)
      : operand_(operand), chunk_(int(threadIdx.x) % Layout::kChunks), line_(int(threadIdx.x) / Layout::kChunks) {
    GRADUS_UNROLL
    for (int i = 0; i < kRows; i++) {
      row_[i] = operand_.row(row0 + (kAlongDepth ? line_ + i * kLineStep : chunk_ * Layout::kVector + i * Access));
    }
  }

  GRADUS_DEVICE void fetch(T* stage, int slice) {
    int depth = slice * Layout::kDepth;
    if constexpr (kAlongDepth) {
      GRADUS_UNROLL
      for (int piece = 0; piece < kPieces; piece++) {
        auto k = operand_.depth(depth + chunk_ * Layout::kVector + piece * Access);
        GRADUS_UNROLL
        for (int i = 0; i < kCopies; i++) copy(stage, i, piece, operand_.at(row_[i], k));
      }
    } else {
      GRADUS_UNROLL_PAIRS
      for (int i = 0; i < kCopies; i++) {
        auto k = operand_.depth(depth + line_ + i * kLineStep);
        GRADUS_UNROLL
        for (int piece = 0; piece < kPieces; piece++) copy(stage, i, piece, operand_.at(row_[piece], k));
      }
    }
  }

  GRADUS_DEVICE void finish(T* stage) {
    if constexpr (kRegisters) {
      GRADUS_UNROLL
      for (int i = 0; i < kCopies; i++) store_pack(stage + Layout::chunk(line_ + i * kLineStep, chunk_), held_[i]);
    }
    (void)stage;
  }

 private:
  GRADUS_DEVICE void copy(T* stage, int i, int piece, const T* from) {
    if constexpr (kRegisters) {
      held_[i].value[piece] = from != nullptr ? *from : from_float<T>(0);
    } else {
      T* to = stage + Layout::chunk(line_ + i * kLineStep, chunk_) + piece * Access;
      constexpr int kBytes = Access * int(sizeof(T));
      ptx::cp_async<kBytes>(to, from != nullptr ? from : operand_.base(), from != nullptr ? kBytes : 0);
    }
  }

  static constexpr int kRows = kAlongDepth ? kCopies : kPieces;
  Operand operand_;
  int chunk_, line_;
  typename Operand::Row row_[kRows];
  Pack<T, Layout::kVector> held_[kRegisters ? kCopies : 1];
};

// The sink of a tile's blocks of warps.
template <class Config, class Problem>
class Sink : public PieceSink<Problem> {
 public:
  using Acc = typename Problem::Acc;
  using PieceSink<Problem>::PieceSink;

  // Merges the lanes of a warp, then the warps, in a fixed order, and writes the tile's statistics. All threads of the block,
  // after the last call of the epilogue.
  GRADUS_DEVICE void write_statistics(Acc* shared, int row0, int column0, int row_tile, PartialStatistics<Acc> to) const {
    constexpr int kRowLanes = Config::kWarpN / kRowPiece;
    int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
    Moments<Acc> mine[kRowPiece];
    this->template merge_warp<kRowLanes>(mine);
    __syncthreads();  // every warp has read its staged sums before statistics overwrite them
    if (lane < kRowLanes) {
      int at = (warp / Config::kWarpsN * Config::kN + warp % Config::kWarpsN * Config::kWarpN + lane * kRowPiece) * 2;
      GRADUS_UNROLL
      for (int i = 0; i < kRowPiece; i++) {
        shared[at + 2 * i] = mine[i].mean;
        shared[at + 2 * i + 1] = mine[i].squares;
      }
    }
    __syncthreads();  // the warps' statistics are complete before they are merged
    for (int c = int(threadIdx.x); c < Config::kN; c += Config::kThreads) {
      int column = problem_.column_offset(column0 + c, z_);
      if (column < 0) continue;
      auto total = merge_warps<Config::kWarpsM, Config::kWarpM, Acc>(problem_.rows(z_) - row0, [&](int i) {
        const Acc* from = shared + (i * Config::kN + c) * 2;
        return Moments<Acc>{from[0], from[1]};
      });
      Acc* partial = to.partial + int64_t(row_tile) * 2 * to.channels + column;
      partial[0] = total.mean;
      partial[to.channels] = total.squares;
    }
  }

 private:
  using PieceSink<Problem>::problem_;
  using PieceSink<Problem>::z_;
};

template <class Config, class Problem, int AccessA, int AccessB>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocks)
    conv_product_kernel(const __grid_constant__ Problem problem, PartialStatistics<typename Problem::Acc> statistics) {
  using T = typename Config::Element;
  using A = typename Problem::A;
  using B = typename Problem::B;
  using Pipeline = TilePipeline<Config, A::kMajor, B::kMajor>;
  GRADUS_DYNAMIC_SHARED(T, shared);
  int z = int(blockIdx.z);
  // Neighbouring blocks share the rows of A, the larger operand.
  int column_tiles = (problem.columns() + Config::kN - 1) / Config::kN;
  int row_tile = int(blockIdx.x) / column_tiles;
  int row0 = row_tile * Config::kM, column0 = (int(blockIdx.x) - row_tile * column_tiles) * Config::kN;
  if (row0 >= problem.rows(z)) return;  // a residue class smaller than the largest
  GatherLoader<typename Pipeline::LayoutA, A, Config::kThreads, AccessA> load_a(problem.a(z), row0);
  GatherLoader<typename Pipeline::LayoutB, B, Config::kThreads, AccessB> load_b(problem.b(z), column0);
  Pipeline pipeline;
  int last = (problem.last_depth(z) + Config::kDepth - 1) / Config::kDepth;
  pipeline.run(load_a, load_b, shared, problem.first_depth(z) / Config::kDepth, last);
  Sink<Config, Problem> sink(problem, z, Problem::kStatistics && statistics.partial != nullptr);
  pipeline.store(shared, row0, column0, sink);
  if constexpr (Problem::kStatistics) {
    static_assert(2 * Config::kWarpsM * Config::kN * sizeof(typename Problem::Acc) <= Pipeline::kSharedBytes,
                  "statistics fit the stages");
    if (statistics.partial != nullptr) {
      sink.write_statistics(reinterpret_cast<typename Problem::Acc*>(shared), row0, column0, row_tile, statistics);
    }
  }
}

template <class Config, int AccessA, int AccessB, class Problem>
int launch_tile(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics) {
  using Pipeline = TilePipeline<Config, Problem::A::kMajor, Problem::B::kMajor>;
  dim3 blocks(unsigned(divide_up(grid.rows, Config::kM) * divide_up(grid.columns, Config::kN)), 1, unsigned(grid.z));
  LaunchConfig config(blocks, Config::kThreads);
  config.shared(Pipeline::kSharedBytes).stream(grid.stream);
  return finish(GRADUS_LAUNCH((conv_product_kernel<Config, Problem, AccessA, AccessB>), config, problem, statistics));
}

// `Tiles` names a TileConfig for each Tile, and a small one for access by elements.
template <class Tiles, class Problem>
int launch_tiles(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics) {
  constexpr int kWhole = kPackSize<typename Tiles::Large::Element>;
  if (grid.access == Access::element) return launch_tile<typename Tiles::ByElements, 1, 1>(problem, grid, statistics);
  switch (grid.tile) {
    case Tile::large: return launch_tile<typename Tiles::Large, kWhole, kWhole>(problem, grid, statistics);
    case Tile::tall: return launch_tile<typename Tiles::Tall, kWhole, kWhole>(problem, grid, statistics);
    case Tile::small: break;
  }
  return launch_tile<typename Tiles::Small, kWhole, kWhole>(problem, grid, statistics);
}

// Defines a function of conv_parts.h for the three products of a type.
#define GRADUS_CONV_PRODUCTS(function, T)                                                               \
  template int function(const Forward<T>&, const Grid&, PartialStatistics<accumulator_t<T>>);            \
  template int function(const BackwardInput<T>&, const Grid&, PartialStatistics<accumulator_t<T>>);      \
  template int function(const BackwardWeight<T>&, const Grid&, PartialStatistics<accumulator_t<T>>)

}  // namespace gradus::conv
