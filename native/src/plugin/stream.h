// The outcome of launches as a gr_status.
#pragma once

#include <atomic>
#include <cstdlib>

#include "device/launch.h"
#include "plugin/handle.h"

namespace gradus {

// The gr_status of what a launch or a runtime call returned; keeps its message.
#if GRADUS_EMULATED
// Whether the device is to play dead: GRADUS_EMULATED_FAIL_AFTER=n is the fault that a GPU meets once and never recovers from,
// at the n-th call and all later ones.
inline bool fault_injected() {
  static const long after = [] {
    const char* text = std::getenv("GRADUS_EMULATED_FAIL_AFTER");
    return text == nullptr ? 0L : std::atol(text);
  }();
  if (after <= 0) return false;
  static std::atomic<long> calls{0};
  return ++calls >= after;
}

inline int finish(int status) {
  if (fault_injected()) return failed(GR_DEVICE_LOST, "an illegal memory access, injected by GRADUS_EMULATED_FAIL_AFTER");
  return status == 0 ? GR_OK : failed(GR_ERROR, launch_error(status));
}
#else
inline int finish(int status) {
  if (status == cudaSuccess) return GR_OK;
  int code = GR_ERROR;
  switch (status) {
    case cudaErrorMemoryAllocation:
      code = GR_OUT_OF_MEMORY;
      cudaGetLastError();  // not sticky: the next call must not report it again
      break;
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorTensorMemoryLeak:
      code = GR_DEVICE_LOST;
      break;
    default:
      cudaGetLastError();
  }
  return failed(code, launch_error(status));
}
#endif

}  // namespace gradus
