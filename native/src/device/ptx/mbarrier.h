// mbarrier: a barrier object in shared memory that counts arrivals and bytes. Its phases alternate in parity, starting with 0;
// wait(parity) returns once the phase of that parity is over.
// Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier".
#pragma once

#include "device/ptx/address.h"

namespace gradus::ptx {

#if GRADUS_EMULATED

inline void mbarrier_init(uint64_t* barrier, unsigned arrivals, Site site = Site::here()) {
  emulator::mbarrier_init(emulator::shared_address(barrier, site), arrivals, site);
}
inline void mbarrier_invalidate(uint64_t* barrier, Site site = Site::here()) {
  emulator::mbarrier_invalidate(emulator::shared_address(barrier, site), site);
}
inline void mbarrier_arrive(uint64_t* barrier, Site site = Site::here()) {
  emulator::mbarrier_arrive(emulator::shared_address(barrier, site), 1, site);
}
inline void mbarrier_arrive_expect_tx(uint64_t* barrier, unsigned bytes, Site site = Site::here()) {
  uint32_t address = emulator::shared_address(barrier, site);
  emulator::mbarrier_expect_tx(address, bytes, site);
  emulator::mbarrier_arrive(address, 1, site);
}
inline void mbarrier_arrive_remote(uint64_t* barrier, unsigned rank, Site site = Site::here()) {
  emulator::mbarrier_arrive(emulator::map_address(emulator::shared_address(barrier, site), rank, site), 1, site);
}
inline bool mbarrier_try_wait(uint64_t* barrier, unsigned parity, Site site = Site::here()) {
  uint32_t address = emulator::shared_address(barrier, site);
  if (emulator::mbarrier_test_parity(address, parity, site)) return true;
  emulator::yield(site);
  return emulator::mbarrier_test_parity(address, parity, site);
}

#elif GRADUS_SM90

GRADUS_DEVICE void mbarrier_init(uint64_t* barrier, unsigned arrivals, Site = Site::here()) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
GRADUS_DEVICE void mbarrier_invalidate(uint64_t* barrier, Site = Site::here()) {
  asm volatile("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(shared_address(barrier)) : "memory");
}
GRADUS_DEVICE void mbarrier_arrive(uint64_t* barrier, Site = Site::here()) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
GRADUS_DEVICE void mbarrier_arrive_expect_tx(uint64_t* barrier, unsigned bytes, Site = Site::here()) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
}
GRADUS_DEVICE void mbarrier_arrive_remote(uint64_t* barrier, unsigned rank, Site = Site::here()) {
  asm volatile("{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\nmbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n}"
               ::"r"(shared_address(barrier)), "r"(rank) : "memory");
}
GRADUS_DEVICE bool mbarrier_try_wait(uint64_t* barrier, unsigned parity, Site = Site::here()) {
  uint32_t done;
  asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(done) : "r"(shared_address(barrier)), "r"(parity) : "memory");
  return done != 0;
}

#endif

#if GRADUS_SM90
GRADUS_DEVICE void mbarrier_wait(uint64_t* barrier, unsigned parity, Site site = Site::here()) {
  while (!mbarrier_try_wait(barrier, parity, site)) {
  }
}
#endif

}  // namespace gradus::ptx
