// The tiled product of matmul on mma_pipeline.h: one block a tile of C, or of a part of K whose sums go to scratch.
#pragma once

#include "device/epilogue.h"
#include "device/matrix_loader.h"
#include "device/mma_pipeline.h"
#include "kernels/launcher.h"

namespace gradus {

template <class T>
struct MatmulArguments {
  const T* a;
  const T* b;
  int64_t stride_a, stride_b, stride_c, lda, ldb;
  int batch, m, n, k;
  int splits, slices;           // parts of K, and slices of each
  accumulator_t<T>* partial;    // [splits, batch, m, n] sums; null where the epilogue is applied at once
  EpilogueParameters<T> epilogue;
  bool partial_vector = false;  // rows of partial start at multiples of 16 bytes
  bool partial_adds = false;    // partial is a wide C, to which sums are added
};

// Tiles go through the grid in groups of so many rows, so that the blocks at work at a time share operands in the L2 cache.
constexpr int kTileGroup = 8;

// Sums of one part of K, or results, by whether there are parts.
template <class T>
class MatmulEpilogue {
 public:
  using Accumulator = accumulator_t<T>;

  GRADUS_DEVICE MatmulEpilogue(const MatmulArguments<T>& arguments, int split, int batch)
      : arguments_(arguments),
        partial_(arguments.partial),
        epilogue_(arguments.epilogue, batch * arguments.stride_c, uint64_t(int64_t(batch) * arguments.m * arguments.n)) {
    if (partial_ != nullptr) partial_ += (int64_t(split) * arguments.batch + batch) * arguments.m * arguments.n;
  }

  GRADUS_DEVICE void operator()(int row, int column, Accumulator (&values)[kRowPiece]) const {
    if (partial_ == nullptr) {
      epilogue_(row, column, values);
    } else if (row < arguments_.m && column < arguments_.n) {
      Accumulator* to = partial_ + int64_t(row) * arguments_.n + column;
      int count = arguments_.n - column;
      if (arguments_.partial_adds) {
        Accumulator before[kRowPiece];
        load_piece(to, count, arguments_.partial_vector, before);
        GRADUS_UNROLL
        for (int i = 0; i < kRowPiece; i++) values[i] += before[i];
      }
      store_piece<Accumulator>(to, count, arguments_.partial_vector, values);
    }
  }

 private:
  const MatmulArguments<T>& arguments_;
  Accumulator* partial_;
  Epilogue<T> epilogue_;
};

// Grid: tiles, parts of K, batch.
template <class Config, Major kMajorA, Major kMajorB, int kAccessBytes>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocks)
    matmul_tile_kernel(const __grid_constant__ MatmulArguments<typename Config::Element> arguments, int batch0) {
  using T = typename Config::Element;
  using Pipeline = TilePipeline<Config, kMajorA, kMajorB>;
  GRADUS_DYNAMIC_SHARED(T, shared);
  int tiles_m = (arguments.m + Config::kM - 1) / Config::kM;
  int tiles_n = (arguments.n + Config::kN - 1) / Config::kN;
  int group = int(blockIdx.x) / (kTileGroup * tiles_n);
  int within = int(blockIdx.x) % (kTileGroup * tiles_n);
  int height = min(tiles_m - group * kTileGroup, kTileGroup);
  int row0 = (group * kTileGroup + within % height) * Config::kM;
  int column0 = within / height * Config::kN;
  int split = int(blockIdx.y);
  int batch = batch0 + int(blockIdx.z);

  const T* a = arguments.a + batch * arguments.stride_a + (kMajorA == Major::k ? row0 * arguments.lda : int64_t(row0));
  const T* b = arguments.b + batch * arguments.stride_b + (kMajorB == Major::k ? column0 * arguments.ldb : int64_t(column0));
  using LoaderA = MatrixLoader<typename Pipeline::LayoutA, Config::kThreads, kAccessBytes>;
  using LoaderB = MatrixLoader<typename Pipeline::LayoutB, Config::kThreads, kAccessBytes>;
  LoaderA load_a(a, arguments.lda, arguments.m - row0, arguments.k);
  LoaderB load_b(b, arguments.ldb, arguments.n - column0, arguments.k);
  int all = (arguments.k + Config::kDepth - 1) / Config::kDepth;
  int first = split * arguments.slices;

  Pipeline pipeline;
  pipeline.run(load_a, load_b, shared, first, min(first + arguments.slices, all));
  MatmulEpilogue<T> epilogue(arguments, split, batch);
  pipeline.store(shared, row0, column0, epilogue);
}

template <class Config, Major kMajorA, Major kMajorB, int kAccessBytes>
int launch_matmul_tile(const MatmulArguments<typename Config::Element>& arguments, int64_t stream) {
  constexpr int kMaxBatch = 65535;  // of a grid's third dimension
  int64_t tiles = divide_up(arguments.m, Config::kM) * divide_up(arguments.n, Config::kN);
  if (tiles > INT32_MAX) return failed(GR_ERROR, "[matmul] too many tiles");
  for (int batch0 = 0; batch0 < arguments.batch; batch0 += kMaxBatch) {
    dim3 grid(unsigned(tiles), unsigned(arguments.splits), unsigned(std::min(arguments.batch - batch0, kMaxBatch)));
    auto config = LaunchConfig(grid, Config::kThreads)
                      .shared(TilePipeline<Config, kMajorA, kMajorB>::kSharedBytes)
                      .stream(stream_of(stream));
    int status = finish(GRADUS_LAUNCH((matmul_tile_kernel<Config, kMajorA, kMajorB, kAccessBytes>), config, arguments, batch0));
    if (status != GR_OK) return status;
  }
  return GR_OK;
}

}  // namespace gradus
