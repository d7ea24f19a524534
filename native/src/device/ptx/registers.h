// Registers: who has them, and what the compiler keeps in them.
//
// setmaxnreg: moves registers between the warpgroups of a block; all threads of a warpgroup execute it.
// Source: PTX ISA, setmaxnreg: 24 to 256 in steps of 8. The kernel needs __launch_bounds__(threads, 1), or it is dropped.
#pragma once

#include "device/ptx/address.h"

namespace gradus::ptx {

template <int Registers>
GRADUS_DEVICE void registers_increase(Site site = Site::here()) {
  static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "24 to 256 in steps of 8");
#if GRADUS_EMULATED
  int count = Registers;
  emulator::exchange_aligned("setmaxnreg.inc", &count, sizeof count, site);
#elif GRADUS_SM90A
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
  (void)site;
}

template <int Registers>
GRADUS_DEVICE void registers_decrease(Site site = Site::here()) {
  static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "24 to 256 in steps of 8");
#if GRADUS_EMULATED
  int count = Registers;
  emulator::exchange_aligned("setmaxnreg.dec", &count, sizeof count, site);
#elif GRADUS_SM90A
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
  (void)site;
}

// The same number, but the compiler forgets what it is: what follows from it is computed anew where it is used, instead of being
// kept in registers across a loop.
GRADUS_DEVICE uint32_t opaque(uint32_t x) {
#if !GRADUS_EMULATED
  asm volatile("" : "+r"(x));
#endif
  return x;
}

}  // namespace gradus::ptx
