// What launchers share: the stream behind a handle, types from their codes, how many blocks, and what a failed launch returns.
//
//   extern "C" int gr_unary(int32_t op, int64_t x, int64_t y, int64_t n, int32_t dtype, int64_t stream) {
//     return with_type<float, double, bfloat16, float16>(dtype, [&](auto type) {
//       using T = typename decltype(type)::type;
//       return finish(GRADUS_LAUNCH((unary_kernel<T>), LaunchConfig(blocks_for(n, 256), 256).stream(stream_of(stream)),
//                                   pointer<const T>(x), pointer<T>(y), n));
//     });
//   }
#pragma once

#include <algorithm>

#include "device/launch.h"
#include "plugin/stream.h"
#include "plugin/types.h"

namespace gradus {

// The stream to launch in; its device becomes the calling thread's.
inline stream_t stream_of(int64_t handle) {
  if (handle == 0) return stream_t();
  const Stream* stream = pointer<const Stream>(handle);
#if !GRADUS_EMULATED
  static thread_local int current = -1;
  if (current != stream->device) {
    current = stream->device;
    cudaSetDevice(current);
  }
#endif
  return static_cast<stream_t>(stream->native);
}

// What launchers may ask of the device behind a handle.
struct DeviceTraits {
  int capability;     // 10 major + minor
  int processors;     // streaming multiprocessors
  int shared_memory;  // bytes of the largest block
  bool cooperative;   // whether a grid may synchronise
};

inline DeviceTraits device_traits(int64_t handle) {
#if GRADUS_EMULATED
  (void)handle;
  return {emulator::options().capability, emulator::kProcessors, emulator::kSharedMemory, true};
#else
  stream_of(handle);
  static thread_local int known = -1;
  static thread_local DeviceTraits traits{};
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return {};
  if (device != known) {
    int major = 0, minor = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    cudaDeviceGetAttribute(&traits.processors, cudaDevAttrMultiProcessorCount, device);
    int cooperative = 0;
    cudaDeviceGetAttribute(&traits.shared_memory, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device);
    traits.capability = 10 * major + minor;
    traits.cooperative = cooperative != 0;
    known = device;
  }
  return traits;
#endif
}

constexpr int64_t kMaxBlocks = 1 << 20;

// Blocks for n elements, each block doing so many at a time; a kernel loops where the limit cuts the grid short.
inline dim3 blocks_for(int64_t n, int64_t per_block, int64_t limit = kMaxBlocks) {
  return dim3(unsigned(std::max<int64_t>(1, std::min(divide_up(n, per_block), limit))));
}

}  // namespace gradus
