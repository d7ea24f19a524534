// The CUDA dialect that kernels are written in, for two compilers: nvcc brings it along, the host compiler gets it from the
// emulator. Every kernel source starts here, directly or through another header of this folder.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/site.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define GRADUS_EMULATED 0
#define GRADUS_DEVICE __device__ __forceinline__
#define GRADUS_HOST_DEVICE __host__ __device__ __forceinline__
#define GRADUS_UNROLL _Pragma("unroll")
#define GRADUS_ROLLED _Pragma("unroll 1")  // a loop whose body, repeated as nvcc likes to, would need too many registers
#else
#define GRADUS_EMULATED 1
#define GRADUS_DEVICE inline
#define GRADUS_HOST_DEVICE inline
#define GRADUS_UNROLL
#define GRADUS_ROLLED
#include "emulator/dialect.h"
#endif
