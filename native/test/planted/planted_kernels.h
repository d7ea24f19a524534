// Kernels with one bug each. A comment "bug: NAME" marks the lines of which the report must name one.
#pragma once

#include "device/block.h"
#include "device/launch.h"
#include "device/ptx/cp_async.h"
#include "device/ptx/fence.h"
#include "device/ptx/mbarrier.h"
#include "device/ptx/tma.h"
#include "device/warp.h"

namespace gradus::planted {

__global__ void missing_barrier_kernel(float* out) {
  GRADUS_SHARED(float, line, [64]);
  line[threadIdx.x] = float(threadIdx.x);     // bug: shared_race
  out[threadIdx.x] = line[63 - threadIdx.x];  // bug: shared_race
}

__global__ void write_race_kernel(float* out) {
  out[threadIdx.x / 2] = float(blockIdx.x);  // bug: write_race
}

__global__ void block_race_kernel(float* out) {
  if (threadIdx.x == 0) out[0] = float(blockIdx.x);  // bug: block_race
}

__global__ void out_of_bounds_global_kernel(float* out, int n) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) out[i] = 1;  // bug: out_of_bounds_global
}

__global__ void out_of_bounds_shared_kernel(float* out) {
  GRADUS_SHARED(float, first, [64]);  // bug: out_of_bounds_shared_model
  GRADUS_SHARED(float, second, [64]);
  second[threadIdx.x] = 2;
  first[threadIdx.x + 1] = 1;  // bug: out_of_bounds_shared
  __syncthreads();             // both lines are complete before they are read
  out[threadIdx.x] = first[threadIdx.x] + second[threadIdx.x];
}

__global__ void divergent_barrier_kernel(float* out) {
  if (threadIdx.x < 32) {
    out[threadIdx.x] = 1;
    __syncthreads();  // hazard: none; bug: divergent_barrier
  } else {
    out[threadIdx.x] = 2;
    __syncthreads();  // hazard: none; bug: divergent_barrier
  }
}

__global__ void early_exit_kernel(float* out) {
  if (threadIdx.x == 7) return;
  __syncthreads();  // hazard: none; bug: early_exit
  out[threadIdx.x] = 1;
}

__global__ void uninitialised_shared_kernel(float* out) {
  GRADUS_SHARED(float, line, [64]);
  if (threadIdx.x < 32) line[threadIdx.x] = 1;
  __syncthreads();  // the line is complete (it is not) before it is read
  out[threadIdx.x] = line[threadIdx.x];  // bug: uninitialised_shared
}

__global__ void early_async_read_kernel(const float* x, float* out) {
  GRADUS_SHARED(float, line, [64]);
  int i = int(threadIdx.x);
  ptx::cp_async<4>(&line[i], x + i);
  ptx::cp_async_commit();
  out[i] = line[i];  // bug: early_async_read
  ptx::cp_async_wait<0>();
}

__global__ void early_tma_read_kernel(const __grid_constant__ tensor_map map, float* out) {
  GRADUS_SHARED_ALIGNED(128, float, line, [64]);
  GRADUS_SHARED(uint64_t, arrived, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(arrived, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(arrived, sizeof line);
    ptx::tma_load_2d(line, map, 0, 0, arrived);
  }
  __syncthreads();  // the copy was started, and may be read once it has arrived
  out[threadIdx.x] = line[threadIdx.x];  // bug: early_tma_read
  ptx::mbarrier_wait(arrived, 0);
}

__global__ void inactive_lane_kernel(float* out) {
  float value = float(threadIdx.x);
  if (threadIdx.x < 16) value = __shfl_sync(0xFFFFu, value, 20);  // bug: inactive_lane
  out[threadIdx.x] = value;
}

__global__ void exited_lane_kernel(float* out) {
  if (threadIdx.x == 9) return;
  out[threadIdx.x] = __shfl_xor_sync(kFullWarp, 1.0f, 1);  // bug: exited_lane
}

}  // namespace gradus::planted
