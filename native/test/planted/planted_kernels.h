// Kernels with one bug each. A comment "bug: NAME" marks the lines of which the report must name one.
#pragma once

#include "device/block.h"
#include "device/launch.h"
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
