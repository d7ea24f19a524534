// Products with a few rows or columns: C^T or C = L S, with L [lines, K] large and S [K, up to 4] small. Memory bound: each
// element of L is read once, 16 bytes at a time; S comes from the caches. Sums of parts of K go to scratch, to be added up by
// matmul_reduce_kernel.
#pragma once

#include "device/block.h"
#include "device/vector.h"
#include "device/warp.h"
#include "kernels/launcher.h"

namespace gradus {

template <class T>
struct MatmulVectorArguments {
  const T* large;
  const T* small;
  int64_t stride_large, stride_small;  // from one matrix of the batch to the next
  int64_t pitch;                       // of the large operand
  int64_t small_k, small_column;       // from one k to the next, from one column to the next
  accumulator_t<T>* partial;           // [splits, batch, lines x columns]
  int64_t out_line, out_column;
  int batch, lines, columns, k, per_split;
  bool vector;        // every line of the large operand starts at a multiple of 16 bytes
  bool small_vector;  // every column of the small one, lying along K
};

constexpr int kVectorWarps = 8;
constexpr int kVectorLines = 4;  // lines that a warp reads side by side, and which share what it reads of S

// Up to N neighbouring elements; absent ones are 0.
template <class T, int N>
GRADUS_DEVICE void load_some(const T* from, int count, bool vector, accumulator_t<T> (&to)[N]) {
  if (vector && count >= N) {
    auto pack = load_pack<T, N>(from);
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) to[i] = accumulator_t<T>(to_float(pack.value[i]));
  } else {
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) to[i] = i < count ? accumulator_t<T>(to_float(from[i])) : 0;
  }
}

// Lines along K: the lanes of a warp share a line. Grid: lines, parts of K, batch.
template <class T, int kColumns>
__global__ void __launch_bounds__(32 * kVectorWarps)
    matmul_vector_along_k_kernel(const __grid_constant__ MatmulVectorArguments<T> arguments, int batch0) {
  using Accumulator = accumulator_t<T>;
  constexpr int kPack = kPackSize<T>;
  int lane = int(threadIdx.x) % 32;
  int line0 = (int(blockIdx.x) * kVectorWarps + int(threadIdx.x) / 32) * kVectorLines;
  int split = int(blockIdx.y);
  int batch = batch0 + int(blockIdx.z);
  const T* large = arguments.large + batch * arguments.stride_large;
  const T* small = arguments.small + batch * arguments.stride_small;
  int first = split * arguments.per_split;
  int last = min(arguments.k, first + arguments.per_split);
  Accumulator sum[kVectorLines][kColumns];
  GRADUS_UNROLL
  for (int i = 0; i < kVectorLines; i++) {
    GRADUS_UNROLL
    for (int j = 0; j < kColumns; j++) sum[i][j] = 0;
  }
  for (int k = first + lane * kPack; k < last; k += 32 * kPack) {
    Accumulator x[kVectorLines][kPack];
    GRADUS_UNROLL
    for (int i = 0; i < kVectorLines; i++) {
      int count = line0 + i < arguments.lines ? last - k : 0;
      load_some<T, kPack>(large + (line0 + i) * arguments.pitch + k, count, arguments.vector, x[i]);
    }
    GRADUS_UNROLL
    for (int j = 0; j < kColumns; j++) {
      Accumulator y[kPack];
      const T* from = small + k * arguments.small_k + j * arguments.small_column;
      int count = j < arguments.columns ? last - k : 0;
      if (arguments.small_k == 1) {
        load_some<T, kPack>(from, count, arguments.small_vector, y);
      } else {
        GRADUS_UNROLL
        for (int v = 0; v < kPack; v++) y[v] = v < count ? Accumulator(to_float(from[v * arguments.small_k])) : Accumulator(0);
      }
      GRADUS_UNROLL
      for (int v = 0; v < kPack; v++) {
        GRADUS_UNROLL
        for (int i = 0; i < kVectorLines; i++) sum[i][j] += x[i][v] * y[v];
      }
    }
  }
  Accumulator* partial = arguments.partial + (int64_t(split) * arguments.batch + batch) * arguments.lines * arguments.columns;
  GRADUS_UNROLL
  for (int i = 0; i < kVectorLines; i++) {
    GRADUS_UNROLL
    for (int j = 0; j < kColumns; j++) {
      Accumulator total = warp_sum(sum[i][j]);
      bool mine = lane == 0 && line0 + i < arguments.lines && j < arguments.columns;
      if (mine) partial[(line0 + i) * arguments.out_line + j * arguments.out_column] = total;
    }
  }
}

// K across lines: a lane has neighbouring columns of the stored matrix, the warps of a block take turns at K. Grid as above.
template <class T, int kColumns>
__global__ void __launch_bounds__(32 * kVectorWarps)
    matmul_vector_across_k_kernel(const __grid_constant__ MatmulVectorArguments<T> arguments, int batch0) {
  using Accumulator = accumulator_t<T>;
  constexpr int kPack = kPackSize<T>;
  GRADUS_SHARED(Accumulator, sums, [kVectorWarps][kColumns][32 * kPack]);
  int lane = int(threadIdx.x) % 32;
  int warp = int(threadIdx.x) / 32;
  int line0 = int(blockIdx.x) * 32 * kPack;
  int line = line0 + lane * kPack;
  int split = int(blockIdx.y);
  int batch = batch0 + int(blockIdx.z);
  const T* large = arguments.large + batch * arguments.stride_large;
  const T* small = arguments.small + batch * arguments.stride_small;
  int first = split * arguments.per_split;
  int last = min(arguments.k, first + arguments.per_split);
  Accumulator sum[kColumns][kPack];
  GRADUS_UNROLL
  for (int j = 0; j < kColumns; j++) {
    GRADUS_UNROLL
    for (int v = 0; v < kPack; v++) sum[j][v] = 0;
  }
  for (int k = first + warp; k < last; k += kVectorWarps) {
    Accumulator x[kPack];
    load_some<T, kPack>(large + k * arguments.pitch + line, arguments.lines - line, arguments.vector, x);
    GRADUS_UNROLL
    for (int j = 0; j < kColumns; j++) {
      const T* from = small + k * arguments.small_k + j * arguments.small_column;
      auto y = j < arguments.columns ? Accumulator(to_float(*from)) : Accumulator(0);
      GRADUS_UNROLL
      for (int v = 0; v < kPack; v++) sum[j][v] += x[v] * y;
    }
  }
  GRADUS_UNROLL
  for (int j = 0; j < kColumns; j++) {
    GRADUS_UNROLL
    for (int v = 0; v < kPack; v++) sums[warp][j][lane * kPack + v] = sum[j][v];
  }
  __syncthreads();  // every warp's sums are there before they are added up
  Accumulator* partial = arguments.partial + (int64_t(split) * arguments.batch + batch) * arguments.lines * arguments.columns;
  for (int i = int(threadIdx.x); i < kColumns * 32 * kPack; i += 32 * kVectorWarps) {
    int j = i / (32 * kPack), at = i % (32 * kPack);
    Accumulator total = 0;
    GRADUS_UNROLL
    for (int w = 0; w < kVectorWarps; w++) total += sums[w][j][at];
    if (j < arguments.columns && line0 + at < arguments.lines) {
      partial[(line0 + at) * arguments.out_line + j * arguments.out_column] = total;
    }
  }
}

template <class T, int kColumns>
int launch_matmul_vector(const MatmulVectorArguments<T>& arguments, bool along_k, int splits, int64_t stream) {
  constexpr int kMaxBatch = 65535;  // of a grid's third dimension
  int64_t lines = along_k ? kVectorWarps * kVectorLines : 32 * kPackSize<T>;
  for (int batch0 = 0; batch0 < arguments.batch; batch0 += kMaxBatch) {
    auto batches = unsigned(std::min(arguments.batch - batch0, kMaxBatch));
    dim3 grid(unsigned(divide_up(arguments.lines, lines)), unsigned(splits), batches);
    auto config = LaunchConfig(grid, 32 * kVectorWarps).stream(stream_of(stream));
    int status = finish(along_k ? GRADUS_LAUNCH((matmul_vector_along_k_kernel<T, kColumns>), config, arguments, batch0)
                                : GRADUS_LAUNCH((matmul_vector_across_k_kernel<T, kColumns>), config, arguments, batch0));
    if (status != GR_OK) return status;
  }
  return GR_OK;
}

}  // namespace gradus
