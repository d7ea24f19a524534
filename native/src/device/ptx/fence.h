// Fences between the generic proxy (ordinary loads and stores) and the async proxy (TMA, wgmma).
// Every thread that wrote shared memory which a TMA store or wgmma will read executes fence_proxy_async, then a barrier, then one
// thread issues the copy, or the warpgroup its wgmma. Under ThreadSanitizer a missing one is a race with the copy engine or the tensor core.
// Source: PTX ISA, "membar / fence".
#pragma once

#include "device/ptx/address.h"

namespace gradus::ptx {

#if GRADUS_EMULATED

inline void fence_proxy_async() { emulator::proxy_fence(); }
inline void fence_mbarrier_init() {}

#elif GRADUS_SM90

GRADUS_DEVICE void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// After mbarrier.init and before anyone else may use the barrier, peers of the cluster and the copy engine included.
GRADUS_DEVICE void fence_mbarrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

#endif

}  // namespace gradus::ptx
