// What the headers of src/device may ask of the emulator: the narrow door between kernels (compiled many times, with or
// without a sanitizer) and the runtime (compiled once). Functions that can go wrong take the caller's Site.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "device/site.h"

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

#if defined(__SANITIZE_THREAD__)
#define GRADUS_NO_TSAN __attribute__((no_sanitize("thread"), noinline))
extern "C" void __tsan_read_range(void* address, unsigned long bytes);
extern "C" void __tsan_write_range(void* address, unsigned long bytes);
#else
#define GRADUS_NO_TSAN
#endif

namespace gradus::emulator {

// What the running CUDA thread sees of itself.
struct View {
  uint3 thread_index, block_index;
  dim3 block_dim, grid_dim;
};
extern __thread const View* current_view __attribute__((tls_model("initial-exec")));
GRADUS_NO_TSAN inline const View& view() { return *current_view; }

[[noreturn]] void fail(const std::string& message, Site site);
void yield(Site site);  // let other threads run; a polling loop must call it

// The runtime is not instrumented by ThreadSanitizer, so a wrapper that makes it read or write memory for the kernel says so
// here, inlined in the kernel, where the report can name the line.
inline void touch_read([[maybe_unused]] const void* p, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_THREAD__)
  __tsan_read_range(const_cast<void*>(p), bytes);
#endif
}
inline void touch_write([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_THREAD__)
  __tsan_write_range(p, bytes);
#endif
}

// --- one launch
struct LaunchShape {
  dim3 grid, block, cluster;
  size_t dynamic_shared = 0;
  bool cooperative = false;
};
int run_grid(const char* kernel, const LaunchShape& shape, void (*call)(const void*), const void* arguments);

// --- block, cluster and grid
// count < 0: every thread of the block; `wait` false is bar.arrive.
void block_barrier(int id, int count, bool wait, Site site);
void cluster_arrive(Site site);
void cluster_wait(Site site);
void grid_barrier(Site site);
unsigned cluster_rank();
unsigned cluster_size();
int thread_rank();  // within the block

// --- shared memory: addresses are those of the 32-bit shared window, as __cvta_generic_to_shared gives them
void* shared_variable(const void* tag, size_t bytes, size_t alignment, const char* name, Site site);
void* dynamic_shared(Site site);
uint32_t shared_address(const void* p, Site site);
void* shared_pointer(uint32_t address, size_t bytes, const char* what, Site site);
uint32_t map_address(uint32_t address, unsigned rank, Site site);
void* map_pointer(const void* p, unsigned rank, Site site);

// --- warp: every lane of the mask gives up to 64 bytes and receives those of all; they stay until its next exchange
constexpr size_t kMessageBytes = 64;
struct Messages {
  const unsigned char* base;
  uint32_t present;  // lanes that took part
  template <class T>
  T from(int lane) const {
    T value;
    __builtin_memcpy(&value, base + size_t(lane) * kMessageBytes, sizeof value);
    return value;
  }
};
Messages exchange(const char* operation, uint32_t mask, const void* value, size_t bytes, Site site);
// The same for operations that all 32 lanes of a warp execute together.
Messages exchange_aligned(const char* operation, const void* value, size_t bytes, Site site);
int lane();

// --- cp.async
void cp_async_issue(void* destination, const void* data, size_t bytes);
void cp_async_commit();
struct Landing {
  void* destination;
  unsigned char data[16];
  unsigned bytes;
};
// The copies that complete when `pending` groups may stay in flight, one per call; null at the end.
const Landing* cp_async_land(unsigned pending);

// The thread's copies so far complete on an mbarrier, at which it so arrives.
void cp_async_arrive(uint32_t mbarrier, Site site);

// --- mbarrier
void mbarrier_init(uint32_t address, unsigned count, Site site);
void mbarrier_invalidate(uint32_t address, Site site);
void mbarrier_arrive(uint32_t address, unsigned count, Site site);
void mbarrier_expect_tx(uint32_t address, unsigned bytes, Site site);
bool mbarrier_test_parity(uint32_t address, unsigned parity, Site site);
void proxy_fence();

// --- wgmma
enum class WgmmaType { bf16, f16, tf32 };
struct Wgmma {
  WgmmaType type;
  int n, k;
  uint64_t a, b;
  bool accumulate, transpose_a, transpose_b;
  bool a_in_registers = false;  // `a` is not looked at
};
struct Chunks {
  const void* const* address;
  int count;
};
void wgmma_fence();
Chunks wgmma_reads(const Wgmma& op, Site site);  // 16-byte pieces of shared memory that the calling warp's share reads
void wgmma_issue(const Wgmma& op, float* accumulators, const uint32_t* a, Site site);  // a: four registers, or null
void wgmma_commit();
// Completes the next operation that must be done when `pending` groups may stay in flight and gives what it reads;
// address is null when nothing is left.
Chunks wgmma_step(unsigned pending, Site site);
void wgmma_deliver(unsigned pending, Site site);

}  // namespace gradus::emulator
