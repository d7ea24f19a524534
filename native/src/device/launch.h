// Launching a kernel: the same call enqueues it on a GPU or runs it on the emulator.
//
//   int status = GRADUS_LAUNCH((scale_kernel<float>), LaunchConfig(grid, block).shared(bytes).stream(s), x, y, n);
//
// The status is 0 or an error code; launch_error() then says what happened.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "device/portable.h"

#if GRADUS_EMULATED
#include "device/recording.h"
#include "emulator/emulator.h"
#endif

namespace gradus {

#if GRADUS_EMULATED
using stream_t = void*;
#else
using stream_t = cudaStream_t;
#endif

class LaunchConfig {
 public:
  LaunchConfig(dim3 grid, dim3 block) : grid_(grid), block_(block) {}
  LaunchConfig& shared(size_t bytes) {
    shared_ = bytes;
    return *this;
  }
  LaunchConfig& stream(stream_t stream) {
    stream_ = stream;
    return *this;
  }
  LaunchConfig& cluster(dim3 blocks) {
    cluster_ = blocks;
    return *this;
  }
  // All blocks resident at once, so that they may use grid_sync().
  LaunchConfig& cooperative() {
    cooperative_ = true;
    return *this;
  }

  dim3 grid_, block_;
  size_t shared_ = 0;
  stream_t stream_ = nullptr;
  dim3 cluster_ = dim3(1);
  bool cooperative_ = false;
};

#if GRADUS_EMULATED

// Streams are in order and everything is done when the call returns, so that a stream is nothing; one that is being recorded is
// its Recording, which then gets the launch.
template <class... P, class... A>
int launch(const char* name, void (*kernel)(P...), const LaunchConfig& config, A&&... arguments) {
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
  };
  auto run = [name, call = Call{kernel, std::tuple<P...>(static_cast<P>(std::forward<A>(arguments))...)},
              shape = emulator::LaunchShape{config.grid_, config.block_, config.cluster_, config.shared_, config.cooperative_}]() {
    return emulator::run_grid(name, shape, [](const void* p) {
      auto& c = *static_cast<const Call*>(p);
      std::apply([&c](const P&... x) { c.kernel(x...); }, c.arguments);
    }, &call);
  };
  if (config.stream_ == nullptr) return run();
  static_cast<Recording*>(config.stream_)->add(run);
  return 0;
}
inline std::string launch_error(int) { return emulator::last_error(); }

#else

template <class... P, class... A>
int launch(const char*, void (*kernel)(P...), const LaunchConfig& config, A&&... arguments) {
  constexpr size_t kWithoutOptIn = 48 * 1024;
  if (config.shared_ > kWithoutOptIn) {
    cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(config.shared_));
    if (status != cudaSuccess) return int(status);
  }
  cudaLaunchAttribute attributes[2];
  cudaLaunchConfig_t launch_config{};
  launch_config.gridDim = config.grid_;
  launch_config.blockDim = config.block_;
  launch_config.dynamicSmemBytes = config.shared_;
  launch_config.stream = config.stream_;
  launch_config.attrs = attributes;
  if (config.cluster_.x * config.cluster_.y * config.cluster_.z > 1) {
    cudaLaunchAttribute& a = attributes[launch_config.numAttrs++];
    a.id = cudaLaunchAttributeClusterDimension;
    a.val.clusterDim.x = config.cluster_.x;
    a.val.clusterDim.y = config.cluster_.y;
    a.val.clusterDim.z = config.cluster_.z;
  }
  if (config.cooperative_) {
    cudaLaunchAttribute& a = attributes[launch_config.numAttrs++];
    a.id = cudaLaunchAttributeCooperative;
    a.val.cooperative = 1;
  }
  return int(cudaLaunchKernelEx(&launch_config, kernel, static_cast<P>(std::forward<A>(arguments))...));
}
inline std::string launch_error(int status) { return cudaGetErrorString(cudaError_t(status)); }

#endif

}  // namespace gradus

#define GRADUS_LAUNCH(kernel, ...) ::gradus::launch(#kernel, kernel, __VA_ARGS__)
