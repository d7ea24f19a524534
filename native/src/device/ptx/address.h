// Addresses in the 32-bit shared window, which is what PTX instructions on shared memory take.
#pragma once

#include "device/portable.h"

namespace gradus::ptx {

GRADUS_DEVICE uint32_t shared_address(const void* shared, Site site = Site::here()) {
  (void)site;
#if GRADUS_EMULATED
  return emulator::shared_address(shared, site);
#else
  return uint32_t(__cvta_generic_to_shared(shared));
#endif
}

}  // namespace gradus::ptx

// Whether code for sm_90a (TMA, wgmma, setmaxnreg) is being compiled.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)
#define GRADUS_SM90A 1
#else
#define GRADUS_SM90A 0
#endif
// Clusters, mbarrier transactions and stmatrix exist on every sm_90 and later.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define GRADUS_SM90 1
#else
#define GRADUS_SM90 0
#endif
