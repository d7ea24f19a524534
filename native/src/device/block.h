// Shared memory of a block.
//
//   GRADUS_SHARED(float, tile, [16][17]);                 static, like __shared__ float tile[16][17]
//   GRADUS_SHARED_ALIGNED(128, bfloat16, stage, [2][64]);
//   GRADUS_DYNAMIC_SHARED(float, buffer);                 float* buffer, aligned to 1024 bytes
//
// __syncthreads() is the same on both sides; named barriers are in ptx/barrier.h.
#pragma once

#include "device/portable.h"

#if GRADUS_EMULATED

#define GRADUS_SHARED_ALIGNED(alignment, type, name, extent)                                                      \
  static char name##_shared_tag;                                                                                  \
  using name##_shared_type = type extent;                                                                         \
  name##_shared_type& name = *static_cast<name##_shared_type*>(::gradus::emulator::shared_variable(               \
      &name##_shared_tag, sizeof(name##_shared_type), (alignment), #name, ::gradus::Site{__FILE__, __LINE__}))
#define GRADUS_SHARED(type, name, extent) GRADUS_SHARED_ALIGNED(alignof(type) < 16 ? 16 : alignof(type), type, name, extent)
#define GRADUS_DYNAMIC_SHARED(type, name) \
  type* name = static_cast<type*>(::gradus::emulator::dynamic_shared(::gradus::Site{__FILE__, __LINE__}))

#else

#define GRADUS_SHARED_ALIGNED(alignment, type, name, extent) __shared__ __align__(alignment) type name extent
#define GRADUS_SHARED(type, name, extent) __shared__ type name extent
#define GRADUS_DYNAMIC_SHARED(type, name)                              \
  extern __shared__ __align__(1024) unsigned char gradus_dynamic_[];   \
  type* name = reinterpret_cast<type*>(gradus_dynamic_)

#endif
