// What the tests of kernels need where nvcc compiles them: memory that host and GPU share, and a stand-in for the emulator's options.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace test {

// Whether kernels may be running. The host waits for them before it looks at an array.
inline bool& launched() {
  static bool flag = false;
  return flag;
}
inline void launching() { launched() = true; }
// Waits for the GPU; what went wrong, or an empty string.
inline std::string finished() {
  if (!launched()) return "";
  launched() = false;
  cudaError_t status = cudaDeviceSynchronize();
  return status == cudaSuccess ? "" : std::string("the GPU: ") + cudaGetErrorString(status);
}

// Every array is an allocation of its own, so that compute-sanitizer knows its bounds.
template <class T>
struct ManagedAllocator {
  using value_type = T;
  ManagedAllocator() = default;
  template <class U>
  ManagedAllocator(const ManagedAllocator<U>&) {}
  T* allocate(size_t n) {
    void* memory = nullptr;
    cudaError_t status = cudaMallocManaged(&memory, n * sizeof(T));
    if (status != cudaSuccess) {
      printf("no managed memory of %zu bytes: %s\n", n * sizeof(T), cudaGetErrorString(status));
      exit(1);
    }
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) {
    finished();
    cudaFree(memory);
  }
  template <class U>
  bool operator==(const ManagedAllocator<U>&) const { return true; }
  template <class U>
  bool operator!=(const ManagedAllocator<U>&) const { return false; }
};

}  // namespace test

// Tests that repeat a run in each thread order of the emulator repeat it here as often, in whatever order the GPU runs threads.
namespace gradus::emulator {

enum class Order { forward, reverse, random };
struct Options {
  Order order = Order::forward;
  uint64_t seed = 0;
};
inline Options& options() {
  static Options set;
  return set;
}

}  // namespace gradus::emulator
