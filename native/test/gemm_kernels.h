// Small products on each of the pipelines: SIMT, cp.async + ldmatrix + mma.sync, TMA + mbarrier + wgmma. C = A B^T with A [M, K]
// and B [N, K] row-major. They serve as tests of the emulator; `bug` names what the planted-bug suite leaves out or gets wrong.
#pragma once

#include "device/block.h"
#include "device/half.h"
#include "device/launch.h"
#include "device/math.h"
#include "device/ptx/barrier.h"
#include "device/ptx/cp_async.h"
#include "device/ptx/fence.h"
#include "device/ptx/matrix.h"
#include "device/ptx/mbarrier.h"
#include "device/ptx/mma.h"
#include "device/ptx/registers.h"
#include "device/ptx/tma.h"
#include "device/ptx/wgmma.h"
#include "device/warp.h"

namespace gradus::test_kernels {

enum class Bug { none, missing_barrier, missing_wait, wrong_expect_tx, missing_swizzle, early_refill, missing_wgmma_wait, missing_proxy_fence };

// 16 x 16 tiles in shared memory, a thread an element. Any shape.
template <Bug bug = Bug::none>
__global__ void gemm_simt_kernel(const float* a, const float* b, float* c, int m, int n, int k) {
  constexpr int kTile = 16;
  GRADUS_SHARED(float, tile_a, [kTile][kTile + 1]);
  GRADUS_SHARED(float, tile_b, [kTile][kTile + 1]);
  int tx = int(threadIdx.x), ty = int(threadIdx.y);
  int row = int(blockIdx.y) * kTile + ty, column = int(blockIdx.x) * kTile + tx;
  float sum = 0;
  for (int k0 = 0; k0 < k; k0 += kTile) {
    int row_b = int(blockIdx.x) * kTile + ty;
    tile_a[ty][tx] = row < m && k0 + tx < k ? a[size_t(row) * size_t(k) + size_t(k0 + tx)] : 0;
    tile_b[ty][tx] = row_b < n && k0 + tx < k ? b[size_t(row_b) * size_t(k) + size_t(k0 + tx)] : 0;  // bug: missing_barrier
    __syncthreads();  // the tiles are complete before they are read
    for (int i = 0; i < kTile; i++) sum += tile_a[ty][i] * tile_b[tx][i];  // bug: missing_barrier
    if (bug != Bug::missing_barrier) __syncthreads();  // the tiles were read before the next ones overwrite them
  }
  if (row < m && column < n) c[size_t(row) * size_t(n) + size_t(column)] = sum;
}

// 64 x 64 tile, 4 warps of 32 x 32, two stages of K = 32 filled by cp.async. M, N multiples of 64, K of 32.
template <class T, Bug bug = Bug::none>
__global__ void __launch_bounds__(128) gemm_mma_kernel(const T* a, const T* b, float* c, int n, int k) {
  constexpr int kDepth = 32, kPitch = kDepth + 8;  // the padding keeps ldmatrix free of bank conflicts
  GRADUS_SHARED_ALIGNED(128, T, stage_a, [2][64][kPitch]);
  GRADUS_SHARED_ALIGNED(128, T, stage_b, [2][64][kPitch]);
  int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  int warp_m = warp % 2 * 32, warp_n = warp / 2 * 32;
  size_t row0 = blockIdx.y * 64, column0 = blockIdx.x * 64, pitch = size_t(k);
  auto load = [&](int stage, int k0) {
    for (int i = 0; i < 2; i++) {
      int row = (thread + i * 128) / 4, at = thread % 4 * 8;
      ptx::cp_async<16>(&stage_a[stage][row][at], a + (row0 + size_t(row)) * pitch + size_t(k0 + at));
      ptx::cp_async<16>(&stage_b[stage][row][at], b + (column0 + size_t(row)) * pitch + size_t(k0 + at));
    }
    ptx::cp_async_commit();
  };
  float sum[2][4][4] = {};
  load(0, 0);
  for (int k0 = 0, stage = 0; k0 < k; k0 += kDepth, stage ^= 1) {
    if (k0 + kDepth < k) {
      load(stage ^ 1, k0 + kDepth);
      if (bug != Bug::missing_wait) ptx::cp_async_wait<1>();
    } else if (bug != Bug::missing_wait) {
      ptx::cp_async_wait<0>();
    }
    __syncthreads();  // every thread's copies into this stage have landed
    for (int kk = 0; kk < kDepth; kk += 16) {
      uint32_t fa[2][4], fb[2][4];
      for (int i = 0; i < 2; i++) ptx::ldmatrix(fa[i], &stage_a[stage][warp_m + 16 * i + lane % 16][kk + lane / 16 * 8]);  // bug: missing_wait
      for (int j = 0; j < 2; j++) ptx::ldmatrix(fb[j], &stage_b[stage][warp_n + 16 * j + lane % 8 + lane / 16 * 8][kk + lane / 8 % 2 * 8]);
      for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 4; j++) {
          uint32_t pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
          ptx::mma_m16n8k16(T{}, sum[i][j], fa[i], pair);
        }
      }
    }
    __syncthreads();  // the stage was read before the copies of the next round but one go there
  }
  if (bug == Bug::missing_wait) ptx::cp_async_wait<0>();
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 4; j++) {
      for (int q = 0; q < 4; q++) {
        size_t row = row0 + size_t(warp_m + 16 * i + lane / 4 + q / 2 * 8);
        size_t column = column0 + size_t(warp_n + 8 * j + lane % 4 * 2 + q % 2);
        c[row * size_t(n) + column] = sum[i][j][q];
      }
    }
  }
}

#if GRADUS_SM90A

// 128 x N tile: a producer warpgroup keeps kStages stages of K = 64 in flight by TMA, two consumer warpgroups of 64 rows each
// multiply by wgmma and store through shared memory. M multiple of 128, N of Width; K may be ragged (zero filled).
template <int Width, Bug bug = Bug::none>
__global__ void __launch_bounds__(384, 1)
    gemm_wgmma_kernel(const __grid_constant__ tensor_map map_a, const __grid_constant__ tensor_map map_b, const __grid_constant__ tensor_map map_c, int k) {
  constexpr int kStages = 2, kDepth = 64, kRow = kDepth * 2;
  constexpr int kBytesA = 128 * kRow, kBytesB = Width * kRow, kBytes = kBytesA + kBytesB;
  GRADUS_DYNAMIC_SHARED(unsigned char, stages);
  GRADUS_SHARED(uint64_t, full, [kStages]);
  GRADUS_SHARED(uint64_t, empty, [kStages]);
  float* staging = reinterpret_cast<float*>(stages + kStages * kBytes);  // [128][32]
  int thread = int(threadIdx.x), group = thread / 128;
  int row0 = int(blockIdx.y) * 128, column0 = int(blockIdx.x) * Width;
  int rounds = (k + kDepth - 1) / kDepth;
  if (thread == 0) {
    for (int s = 0; s < kStages; s++) {
      ptx::mbarrier_init(&full[s], 1);
      ptx::mbarrier_init(&empty[s], 2);
    }
    ptx::fence_mbarrier_init();
  }
  __syncthreads();  // the barriers are initialised before anyone waits on them
  if (group == 0) {
    ptx::registers_decrease<40>();
    if (thread == 0) {
      for (int i = 0; i < rounds; i++) {
        int s = i % kStages;
        uint64_t* before = bug == Bug::early_refill ? &full[s] : &empty[s];
        if (i >= kStages) ptx::mbarrier_wait(before, unsigned(i / kStages - 1) & 1);
        ptx::mbarrier_arrive_expect_tx(&full[s], bug == Bug::wrong_expect_tx ? kBytes + 16 : kBytes);  // bug: wrong_expect_tx
        ptx::tma_load_2d(stages + s * kBytes, map_a, i * kDepth, row0, &full[s]);  // bug: early_refill
        ptx::tma_load_2d(stages + s * kBytes + kBytesA, map_b, i * kDepth, column0, &full[s]);
      }
    }
    return;
  }
  ptx::registers_increase<232>();
  int consumer = group - 1, local = thread % 128;
  float sum[Width / 2];
  for (int i = 0; i < rounds; i++) {
    int s = i % kStages;
    ptx::mbarrier_wait(&full[s], unsigned(i / kStages) & 1);
    uint32_t base_a = ptx::shared_address(stages + s * kBytes + consumer * 64 * kRow);
    uint32_t base_b = ptx::shared_address(stages + s * kBytes + kBytesA);
    ptx::wgmma_fence();
    for (int kk = 0; kk < kDepth / 16; kk++) {
      uint64_t da = ptx::matrix_descriptor(base_a + uint32_t(kk) * 32, 16, 1024, ptx::MatrixSwizzle::bytes128);
      uint64_t db = ptx::matrix_descriptor(base_b + uint32_t(kk) * 32, 16, 1024, ptx::MatrixSwizzle::bytes128);
      ptx::wgmma<Width, bfloat16>(sum, da, db, i + kk > 0);  // bug: early_refill, missing_swizzle
    }
    ptx::wgmma_commit();
    if (bug != Bug::missing_wgmma_wait || i + 1 < rounds) ptx::wgmma_wait<0>();
    if (local == 0) ptx::mbarrier_arrive(&empty[s]);
  }
  for (int column = 0; column < Width; column += 32) {
    for (int j = 0; j < 4; j++) {
      for (int q = 0; q < 4; q++) {
        int row = consumer * 64 + local / 32 * 16 + local % 32 / 4 + q / 2 * 8;
        float value = sum[(column / 8 + j) * 4 + q];  // bug: missing_wgmma_wait
        staging[row * 32 + 8 * j + local % 4 * 2 + q % 2] = value;  // bug: missing_proxy_fence
      }
    }
    if (bug != Bug::missing_proxy_fence) ptx::fence_proxy_async();
    ptx::barrier_sync(1 + consumer, 128);  // this warpgroup's rows are staged before one thread stores them
    if (local == 0) {
      ptx::tma_store_2d(map_c, staging + consumer * 64 * 32, column0 + column, row0 + consumer * 64);
      ptx::bulk_commit();
      ptx::bulk_wait_read<0>();
    }
    ptx::barrier_sync(1 + consumer, 128);  // the staged rows were read before the next columns overwrite them
  }
  if (bug == Bug::missing_wgmma_wait) ptx::wgmma_wait<0>();
}

#endif

}  // namespace gradus::test_kernels
