// The CUDA keywords, vector types, built-in variables and block-level intrinsics, for the host compiler.
#pragma once

#include <cstdint>
#include <cstring>

#include "emulator/kernel_api.h"

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __constant__ static const
#define __align__(n) alignas(n)
#define __cluster_dims__(...)

#define threadIdx (::gradus::emulator::view().thread_index)
#define blockIdx (::gradus::emulator::view().block_index)
#define blockDim (::gradus::emulator::view().block_dim)
#define gridDim (::gradus::emulator::view().grid_dim)
constexpr int warpSize = 32;

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline void __syncthreads(gradus::Site site = gradus::Site::here()) { gradus::emulator::block_barrier(0, -1, true, site); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __threadfence(); }
inline void __threadfence_system() { __threadfence(); }
[[noreturn]] inline void __trap(gradus::Site site = gradus::Site::here()) { gradus::emulator::fail("__trap()", site); }
// A loop that polls memory calls this in its body, or the threads it waits for would never run.
inline void __nanosleep(unsigned, gradus::Site site = gradus::Site::here()) { gradus::emulator::yield(site); }
