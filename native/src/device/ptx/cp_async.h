// cp.async: copies of 4, 8 or 16 bytes from global to shared memory that a thread does not wait for. Bytes from `valid` on are
// filled with zeros, so `valid` 0 reads nothing.
// Model: the destination is NaN from the issue to the wait that covers it; the data are those at the issue.
// Source: PTX ISA, "Data Movement and Conversion Instructions: cp.async".
#pragma once

#include "device/portable.h"

namespace gradus::ptx {

#if GRADUS_EMULATED

template <int Bytes>
inline void cp_async(void* shared, const void* global, int valid = Bytes, Site site = Site::here()) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "cp.async copies 4, 8 or 16 bytes");
  if (valid < 0 || valid > Bytes) emulator::fail("cp_async: valid is 0 to the size of the copy", site);
  uint32_t address = emulator::shared_address(shared, site);
  if (address % Bytes != 0) emulator::fail("cp_async: the shared address is not aligned to the size of the copy", site);
  if (valid > 0 && reinterpret_cast<uintptr_t>(global) % Bytes != 0) emulator::fail("cp_async: the global address is not aligned to the size of the copy", site);
  unsigned char data[Bytes] = {};
  auto* to = static_cast<unsigned char*>(shared);
  for (int i = 0; i < valid; i++) data[i] = static_cast<const unsigned char*>(global)[i];
  for (int i = 0; i < Bytes; i++) to[i] = 0xFF;
  emulator::cp_async_issue(shared, data, Bytes);
}

inline void cp_async_commit() { emulator::cp_async_commit(); }

// Arrives at the mbarrier once all copies of this thread so far have landed; the arrival is one of those that its init announced.
// After it the thread waits on the mbarrier, not by cp_async_wait.
inline void cp_async_mbarrier_arrive(uint64_t* barrier, Site site = Site::here()) {
  emulator::cp_async_arrive(emulator::shared_address(barrier, site), site);
}

// Waits until at most Pending groups of this thread are in flight.
template <int Pending>
inline void cp_async_wait() {
  while (const emulator::Landing* copy = emulator::cp_async_land(Pending)) {
    auto* to = static_cast<unsigned char*>(copy->destination);
    for (unsigned i = 0; i < copy->bytes; i++) to[i] = copy->data[i];
  }
}

#else

template <int Bytes>
GRADUS_DEVICE void cp_async(void* shared, const void* global, int valid = Bytes, Site = Site::here()) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "cp.async copies 4, 8 or 16 bytes");
  auto to = uint32_t(__cvta_generic_to_shared(shared));
  if constexpr (Bytes == 16) {  // .cg: past L1, which these streams would only pollute
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(Bytes), "r"(valid) : "memory");
  }
}
GRADUS_DEVICE void cp_async_mbarrier_arrive(uint64_t* barrier, Site = Site::here()) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(uint32_t(__cvta_generic_to_shared(barrier))) : "memory");
}
GRADUS_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending>
GRADUS_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

#endif

}  // namespace gradus::ptx
