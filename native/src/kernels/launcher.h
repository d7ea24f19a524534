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

#include "device/half.h"
#include "device/launch.h"
#include "gradus/abi.h"
#include "plugin/stream.h"

namespace gradus {

template <class T>
T* pointer(int64_t address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

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
  return stream->native;
}

template <class T>
struct Type {
  using type = T;
};

// The code of an element type.
template <class T>
constexpr int32_t dtype_code() {
  if constexpr (std::is_same_v<T, float>) return GR_FLOAT32;
  if constexpr (std::is_same_v<T, double>) return GR_FLOAT64;
  if constexpr (std::is_same_v<T, bfloat16>) return GR_BFLOAT16;
  if constexpr (std::is_same_v<T, float16>) return GR_FLOAT16;
  if constexpr (std::is_same_v<T, int32_t>) return GR_INT32;
  if constexpr (std::is_same_v<T, int64_t>) return GR_INT64;
  if constexpr (std::is_same_v<T, uint8_t>) return GR_UINT8;
  if constexpr (std::is_same_v<T, bool>) return GR_BOOL;
  return -1;
}

// Calls f(Type<T>{}) with the one of the listed types that has the code; GR_UNSUPPORTED where none has.
template <class... Ts, class F>
int with_type(int32_t dtype, F&& f) {
  int status = GR_UNSUPPORTED;
  (void)((dtype == dtype_code<Ts>() && ((status = f(Type<Ts>{})), true)) || ...);
  return status;
}
template <class F>
int with_floating(int32_t dtype, F&& f) {
  return with_type<float, double, bfloat16, float16>(dtype, f);
}

constexpr int64_t kMaxBlocks = 1 << 20;

inline int64_t divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

// Blocks for n elements, each block doing so many at a time; a kernel loops where the limit cuts the grid short.
inline dim3 blocks_for(int64_t n, int64_t per_block, int64_t limit = kMaxBlocks) {
  return dim3(unsigned(std::max<int64_t>(1, std::min(divide_up(n, per_block), limit))));
}

}  // namespace gradus
